"""Natural promoters, fetched once, checked by SHA-256 and kept in a cache folder, in the manner of `sklearn.datasets`.

The file is that of one fixed commit of GPro's repository, so it can never change under a published value.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqdiff.errors import InputError, shorten, shown

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

ECOLI_COMMIT = "93feed74dca494d99fad52594cb1d3d789a7dec0"
ECOLI_URL = (
    f"https://raw.githubusercontent.com/WangLabTHU/GPro/{ECOLI_COMMIT}/"
    "data/ecoli_50_wgan_diffusion_wanglab/ecoli_natural50bp_expr.csv"
)
ECOLI_SHA256 = "9b05702274c3e4214b6ad83a75840d888473d44e3184b542541ca93f6cc38dc4"
ECOLI_FILE = "ecoli_natural50bp_expr.csv"  # its name in the cache
ECOLI_LOCAL = "ecoli50_expr.csv"  # its name in the folder that SEQDIFF_DATA names

DESCR = """\
Natural E. coli promoters with expression
-----------------------------------------
11,884 promoters of Escherichia coli K-12, all different, each the 50 base pairs directly upstream of a transcription
start that was mapped by differential RNA sequencing.

data      the sequences, 50 letters A, C, G, T
target    expression, 3.12 to 21.39 (median 7.10), on the logarithmic scale of the source
split     "train" (9,508), "valid" (1,188), "test" (1,188): sequences that share a 20-mer on either strand lie on one
          side

Source: github.com/WangLabTHU/GPro, data/ecoli_50_wgan_diffusion_wanglab (MIT licence).
Thomason et al., Global transcriptional start site mapping using differential RNA sequencing reveals novel
antisense RNAs in Escherichia coli, J. Bacteriol. 197, 18-28 (2015).
"""


class DatasetUnavailable(ValueError, OSError):
    """A data set is neither at hand nor could it be downloaded; the message says what to do."""


def _download(url: str, sha256: str, name: str, folder: Path) -> Path:
    """Return the path of the checked copy in `folder`, downloaded if it is not there yet."""
    import pooch

    # pooch announces each download on the screen; here that goes through this module's logger
    speaker = pooch.get_logger()
    level = speaker.level
    speaker.setLevel(logging.ERROR)
    if not (folder / name).exists():
        logger.info("Downloading %s to %s", url, folder)
    try:
        return Path(pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=folder))
    except (OSError, ValueError) as error:
        reason = "what came has another SHA-256"
        if isinstance(error, OSError):  # no network, no permission, a full disk
            reason = error.strerror or type(error).__name__
        raise DatasetUnavailable(
            f"{name} is not in {folder} and could not be downloaded ({reason}): go online once, or download {url} on "
            f"another machine and put it there, or name a folder that holds {ECOLI_LOCAL} in SEQDIFF_DATA."
        ) from error
    finally:
        speaker.setLevel(level)


def _read(path: Path) -> pd.DataFrame:
    """Read sequence, expression and (where there is one) split from a table with or without a header, in any order."""
    import pandas as pd

    try:
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors, an empty file and undecodable bytes are ValueErrors
        reason = shorten(str(error).splitlines()[0].rstrip("."), 150)
        found, wanted = f"a file that could not be read ({reason})", "a CSV file of sequences and expression"
        raise InputError(str(path), found, wanted, "remove it and fetch again") from error
    is_sequence = cells.apply(lambda column: column.str.fullmatch("[ACGTacgt]{50}"))
    is_number = cells.apply(lambda column: pd.to_numeric(column, errors="coerce").notna())
    is_split = cells.isin(["train", "valid", "test"])
    where = [mask.mean().to_numpy() for mask in (is_sequence, is_number, is_split)]
    if where[0].max() < 0.5 or where[1].max() < 0.5:
        wanted = "a column of 50-letter A, C, G, T sequences beside one of numbers"
        raise InputError(str(path), "a file without them", wanted, "remove it and fetch again")
    sequence, number, split = (int(share.argmax()) for share in where)

    good = (is_sequence[sequence] & is_number[number]).to_numpy()
    header = int(not good[0])
    if not good[header:].all():
        line = int(np.flatnonzero(~good[header:])[0]) + header + 1
        found, wanted = shown(",".join(cells.iloc[line - 1]), 80), "a sequence of 50 letters A, C, G, T and a number"
        raise InputError(f"{path}, line {line}", found, wanted, "remove the file and fetch again")
    cells = cells.iloc[header:]
    frame = pd.DataFrame({"seq": cells[sequence].str.upper().astype(object), "expr": cells[number].map(float)})
    if cells[split].isin(["train", "valid", "test"]).all():
        frame["split"] = cells[split].astype(object)
    return frame.drop_duplicates("seq", ignore_index=True)


def fetch_ecoli_promoters(
    *, return_X_y: bool = False, as_frame: bool = False, data_home: str | os.PathLike | None = None
):
    """Load 11,884 natural E. coli promoters with their expression, downloading them the first time.

    Sources, in this order: `ecoli50_expr.csv` in the folder that the environment variable `SEQDIFF_DATA` names; the
    cache folder; the network (0.8 MB, checked by SHA-256, kept in the cache folder).

    Parameters
    ----------
    return_X_y : bool, default False
        Return `(data, target)` instead of a Bunch.
    as_frame : bool, default False
        `data`, `target` and `split` are pandas Series, and `frame` holds them in one table.
    data_home : path, optional
        The cache folder. Default: the environment variable `SEQDIFF_HOME`, else the operating system's cache folder for
        seqdiff.

    Returns
    -------
    Bunch or tuple
        `data`, shape (11884,), array of `str`, 50 letters A, C, G, T each; `target`, shape (11884,), expression as
        floats; `split`, shape (11884,), "train", "valid" or "test" (sequences that share a 20-mer on either strand
        lie on one side; use it for every value to be compared); `feature_names`, `target_names`, `frame` (None
        unless `as_frame`) and `DESCR`. All sequences are different; of copies in a file the first is kept.

    Raises
    ------
    DatasetUnavailable
        A ValueError and an OSError: there is no copy and no network. The message says what to do.
    InputError
        If the file in `SEQDIFF_DATA` is no table of sequences and numbers.

    Examples
    --------
    >>> from seqdiff.datasets import fetch_ecoli_promoters
    >>> promoters = fetch_ecoli_promoters()                      # doctest: +SKIP
    >>> train = promoters.data[promoters.split == "train"]       # doctest: +SKIP
    >>> len(train), train[0]                                     # doctest: +SKIP
    (9508, 'ATAGCAGCTTCTGAACTGGTTACCTGCCGTGAGTAAATTAAAATTTTATT')
    """
    from sklearn.utils import Bunch

    given = os.environ.get("SEQDIFF_DATA")
    path = Path(given).expanduser() / ECOLI_LOCAL if given else None
    if path is None or not path.is_file():
        home = data_home if data_home is not None else os.environ.get("SEQDIFF_HOME")
        if not home:
            import pooch

            home = pooch.os_cache("seqdiff")
        path = _download(ECOLI_URL, ECOLI_SHA256, ECOLI_FILE, Path(home).expanduser())

    frame = _read(path)
    if return_X_y and not as_frame:
        return frame["seq"].to_numpy(dtype=object), frame["expr"].to_numpy()
    if return_X_y:
        return frame["seq"], frame["expr"]
    if "split" not in frame:
        from seqdiff.data import cluster_split

        frame["split"] = np.asarray(cluster_split(frame["seq"].tolist()), dtype=object)
    columns = [frame[name] if as_frame else frame[name].to_numpy() for name in ("seq", "expr", "split")]
    if not as_frame:
        columns[0], columns[2] = (column.astype(object) for column in (columns[0], columns[2]))
    return Bunch(
        data=columns[0],
        target=columns[1],
        split=columns[2],
        frame=frame if as_frame else None,
        feature_names=["seq"],
        target_names=["expr"],
        DESCR=DESCR,
    )
