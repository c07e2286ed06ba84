"""Order sheets: the file of sequences, names, plates and wells that is sent to a vendor of synthesis.

One table, written as an Excel workbook, CSV, FASTA or GenBank. The columns are

    plate, well        where a plate is asked for: A1 to H12 of 96 wells, A1 to P24 of 384
    name               letters, digits, - and _, a letter first, at most 32, each name once in any case
    sequence           flank + design + flank, as it is made, 5' to 3'
    group              "design", or the name of the controls
    length, gc, tm     letters; the share of G and C; melting temperature in degrees Celsius

and what else the user gives. The melting temperature is that of the whole sequence and its complement by nearest
neighbours (Biopython's `Tm_NN`: Allawi & SantaLucia 1997, of RNA Chen et al. 2012; 25 nM of each strand, 50 mM Na+).
"""

from __future__ import annotations

import csv
import datetime
import math
import numbers
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff import __version__
from seqdiff.alphabets.alphabet import Alphabet
from seqdiff.alphabets.alphabets import AlphabetLike
from seqdiff.data.files import as_cell, check_place, one_word
from seqdiff.data.labels import is_missing
from seqdiff.design.library import read_designs
from seqdiff.design.rules import duplex_melting
from seqdiff.errors import InputError, argument, listed, of_kind, printable, shown, warn
from seqdiff.inputs import PathLike
from seqdiff.parameters import Choice, Switch
from seqdiff.runtime import replacing

if TYPE_CHECKING:
    import pandas as pd
    from Bio.SeqRecord import SeqRecord

LONGEST_NAME = 32
LONGEST_LOCUS = 16
"""Characters of a name in the first line of a GenBank record, which has columns."""
COMMENT_WIDTH = 68
"""Characters of a line of a GenBank record behind its key."""
LONGEST_CELL = 32_767
"""Characters, of a workbook; Excel cuts more."""
SHORTEST_DUPLEX = 8
"""Bases that melt at a temperature to speak of."""
ROWS = {96: "ABCDEFGH", 384: "ABCDEFGHIJKLMNOP"}


def clean_names(names: Iterable[object], longest: int = LONGEST_NAME) -> list[str]:
    """Return names that every vendor accepts: letters, digits, - and _, a letter first, each once in any case.

    >>> clean_names(["GFP variant #1", "gfp-2", "GFP-2", 7])
    ['GFP_variant_1', 'gfp-2', 'GFP-2_2', 's7']
    """
    taken: set[str] = set()
    cleaned = []
    for name in names:
        text = re.sub("[^A-Za-z0-9_-]+", "_", str(name)).strip("_-")
        text = text if text[:1].isalpha() else f"s{text}"
        unique, number = text[:longest].rstrip("_-"), 1
        while unique.lower() in taken:
            number += 1
            unique = f"{text[: longest - len(str(number)) - 1].rstrip('_-')}_{number}"
        taken.add(unique.lower())
        cleaned.append(unique)
    return cleaned


def well_names(plate: int, by: str = "row") -> list[str]:
    """Return the wells of a plate of 96 or 384 in the order in which they are filled.

    >>> well_names(96)[:13][-2:], well_names(96, "column")[:9][-2:]
    (['A12', 'B1'], ['H1', 'A2'])
    """
    rows, columns = ROWS[plate], range(1, plate // len(ROWS[plate]) + 1)
    if by == "row":
        return [f"{row}{column}" for row in rows for column in columns]
    return [f"{row}{column}" for column in columns for row in rows]


def melting_temperature(sequence: str, alphabet: Alphabet) -> float:
    """Return the melting temperature in degrees Celsius; nan for IUPAC codes and fewer than 8 bases.

    >>> from seqdiff.data import DNA
    >>> melting_temperature("CGTTCCAAAGATGTGGGCATGAGCTTAC", DNA)
    60.3
    """
    if len(sequence) < SHORTEST_DUPLEX or not set(sequence) <= set(alphabet.letters):
        return float("nan")
    return round(duplex_melting(sequence, alphabet), 1)


def _plain(value: object) -> Any:
    """Return a number, True, False or None for what is missing as it is, all else as text on one line."""
    value = value.item() if isinstance(value, np.generic) else value
    if is_missing(value):
        return None
    number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if number else printable(str(value))


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class _Order:
    """What is written: a table, the lengths of the flanks, the alphabet, and what is to be remembered of all rows."""

    columns: Mapping[str, list[Any]]
    flanks: tuple[int, int]
    alphabet: Alphabet
    provenance: Mapping[str, Any]

    def rows(self, remembered: bool = True) -> Iterator[dict[str, Any]]:
        """Yield each row by column, of plain values; with the provenance that no column of the table has."""
        more = {key: value for key, value in self.provenance.items() if remembered and key not in self.columns}
        for row in zip(*self.columns.values(), strict=True):
            yield {**{key: _plain(value) for key, value in zip(self.columns, row, strict=True)}, **more}


def _write_workbook(path: Path, order: _Order) -> None:
    try:
        from openpyxl import Workbook
        from openpyxl.styles import Font
        from openpyxl.utils import get_column_letter
    except ImportError:
        wanted, cure = "the library openpyxl, which writes it", 'pip install "seqdiff[design]", or write .csv'
        raise InputError(argument("path"), "an Excel workbook", wanted, cure) from None
    book = Workbook()
    sheets = {
        "order": [list(order.columns), *(list(row.values()) for row in order.rows(remembered=False))],
        "provenance": [["key", "value"], *map(list, order.provenance.items())],
    }
    formats = {"gc": "0.000", "tm": "0.0"}
    for sheet, (title, rows) in zip([book.active, book.create_sheet()], sheets.items(), strict=True):
        sheet.title, sheet.freeze_panes = title, "A2"
        for i, row in enumerate(rows, 1):
            for j, value in enumerate(row, 1):
                cell = sheet.cell(i, j, value)
                if isinstance(value, str):
                    cell.data_type = "s"  # "=1+1" would be a formula, "#N/A" an error
                    cell.quotePrefix = value != as_cell(value)  # still a text when somebody edits it
                else:
                    cell.number_format = formats.get(rows[0][j - 1], "General")
                if i == 1:
                    cell.font = Font(bold=True)
        for j, column in enumerate(zip(*rows, strict=True), 1):
            longest = max(len(_text(value)) for value in column if value is not None)
            sheet.column_dimensions[get_column_letter(j)].width = min(longest, 60) + 3
        sheet.auto_filter.ref = sheet.dimensions
    book.save(path)


def _write_csv(path: Path, order: _Order) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for i, row in enumerate(order.rows()):
            if i == 0:
                writer.writerow(map(as_cell, row))
            writer.writerow(map(as_cell, row.values()))


def _write_fasta(path: Path, order: _Order) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        for row in order.rows():
            name, sequence = row.pop("name"), row.pop("sequence")
            pairs = (f"{one_word(key)}={one_word(value)}" for key, value in row.items() if value is not None)
            file.write(f">{name} {' '.join(pairs)}\n{sequence}\n")


def _write_genbank(path: Path, order: _Order) -> None:
    from Bio import SeqIO

    loci = clean_names(order.columns["name"], LONGEST_LOCUS)
    records = [_record(row, locus, order) for row, locus in zip(order.rows(), loci, strict=True)]
    with open(path, "w", encoding="utf-8", newline="") as file:
        SeqIO.write(records, file, "genbank")


def _record(row: dict[str, Any], locus: str, order: _Order) -> SeqRecord:
    from Bio.Seq import Seq
    from Bio.SeqFeature import SeqFeature, SimpleLocation
    from Bio.SeqRecord import SeqRecord

    name, sequence = row.pop("name"), row.pop("sequence")
    start, end = order.flanks[0], len(sequence) - order.flanks[1]
    parts = {"left flank": (0, start), name: (start, end), "right flank": (end, len(sequence))}
    lines = [f"{key}: {_text(value)}" for key, value in row.items() if value is not None]
    record = SeqRecord(Seq(sequence), id=name, name=locus, description=f"{row['group']} {name}")
    annotations: dict[str, Any] = {
        "molecule_type": order.alphabet.name if order.alphabet.name == "protein" else order.alphabet.name.upper(),
        "topology": "linear",
        "data_file_division": "SYN",
        "date": datetime.date.today(),
        "source": "synthetic construct",
        "organism": "synthetic construct",
        "comment": [part for line in lines for part in wrap(line, COMMENT_WIDTH)],
    }
    record.annotations = annotations
    kind = "Region" if order.alphabet.name == "protein" else "misc_feature"
    for label, (start, end) in parts.items():
        if start < end:
            location = SimpleLocation(start, end, None if kind == "Region" else 1)
            record.features.append(SeqFeature(location, kind, qualifiers={"label": [label]}))
    return record


WRITERS: dict[str, Callable[[Path, _Order], None]] = {
    ".xlsx": _write_workbook,
    ".csv": _write_csv,
    ".fasta": _write_fasta,
    ".gb": _write_genbank,
}


def _checked_path(path: PathLike) -> Path:
    """Return a path with ``~`` expanded; refuse, before any work, a file that could not be written."""
    where = argument("path")
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(where, of_kind(path), "a file's name", "give one such as 'order.xlsx'")
    file = Path(path).expanduser()
    if file.suffix.lower() not in WRITERS:
        endings = listed(WRITERS).replace("'", "")
        raise InputError(where, shown(str(file), 200), f"a name that ends in {endings}", "give such a name")
    check_place(file, where)
    return file


def _names_of(names: Iterable[object] | None, n: int) -> list[object]:
    """Return a name, good or bad, for each of n designs."""
    if names is None:
        return [f"design_{i:0{len(str(n))}}" for i in range(1, n + 1)]
    where, cure = argument("names"), "give a name for each design, or leave it out"
    if isinstance(names, (str, bytes)) or not hasattr(names, "__iter__"):
        raise InputError(where, shown(names), "a list of names", cure)
    given = list(names)
    if len(given) != n:
        raise InputError(where, f"{len(given):,} names", f"{n:,}, one for each design", cure)
    for i, name in enumerate(given):
        if is_missing(name) or not str(name).strip():
            raise InputError(f"{where}[{i}]", f"a missing name ({shown(name)})", "a name", cure)
    return given


def _controls(controls: Mapping[str, Iterable[Any]] | None) -> Mapping[str, Iterable[Any]]:
    """Return controls by the name of their group."""
    where, wanted = argument("controls"), "a dict of lists of sequences by the name of their group"
    if controls is not None and not isinstance(controls, Mapping):
        raise InputError(where, of_kind(controls), wanted, 'give one such as {"wild type": [...]}')
    for group in controls or {}:
        if not isinstance(group, str) or not group.strip() or group == "design":
            raise InputError(where, f"a group named {shown(group)}", f"{wanted}, other than 'design'", "rename it")
    return controls or {}


def _wells(plate: int | None, by: str, partial: bool, designs: int, controls: int) -> dict[str, list[Any]]:
    """Return the columns of plates and wells, none where no plate is asked for."""
    if plate is None:
        return {}
    if isinstance(plate, bool) or not isinstance(plate, numbers.Integral) or plate not in ROWS:
        raise InputError(argument("plate"), shown(plate), "96, 384 or None", "give one of these")
    n = designs + controls
    if n % plate and not partial:
        missing, kinds = plate - n % plate, f"{designs:,} designs and {controls:,} controls"
        wanted = f"a multiple of {plate}, which fills the last plate"
        cure = f"give {missing} more, or pass {argument('partial', True)} for a last plate that is not full"
        raise InputError(argument("plate", plate), f"{n:,} sequences ({kinds})", wanted, cure)
    wells = well_names(plate, by)
    return {"plate": [i // plate + 1 for i in range(n)], "well": [wells[i % plate] for i in range(n)]}


def _values(
    columns: Mapping[str, Sequence[object]] | pd.DataFrame, taken: Iterable[str], n: int
) -> dict[str, list[Any]]:
    """Return the user's columns, checked, with a value for each of n designs."""
    where, found = argument("columns"), {}
    if not hasattr(columns, "items"):
        raise InputError(where, of_kind(columns), "a dict or DataFrame by column", "give such a one")
    for name, values in columns.items():
        if not isinstance(name, str) or not name.strip() or name in taken:
            wanted = f"names other than {listed(taken, 'and')}"
            raise InputError(where, f"the column {shown(name)}", wanted, "rename it, or leave it out")
        entries = [] if isinstance(values, str) or not hasattr(values, "__iter__") else list(values)
        if len(entries) != n:
            got = f"{len(entries):,} values of {shown(name)}" if entries else f"{shown(values)} as {shown(name)}"
            raise InputError(where, got, f"{n:,} values, one for each design", "give as many")
        found[printable(name)] = entries
    return found


def write_order(
    path: PathLike,
    sequences: Iterable[Any],
    *,
    names: Iterable[object] | None = None,
    left_flank: str = "",
    right_flank: str = "",
    controls: Mapping[str, Iterable[Any]] | None = None,
    plate: int | None = None,
    by: str = "row",
    partial: bool = False,
    columns: Mapping[str, Sequence[object]] | pd.DataFrame | None = None,
    provenance: Mapping[str, object] | None = None,
    alphabet: AlphabetLike = "auto",
) -> pd.DataFrame:
    """Write an order of sequences, whole or not at all, and return its table.

    Parameters
    ----------
    path : path
        ``.xlsx`` (needs ``pip install "seqdiff[design]"``; provenance is a second sheet), ``.csv`` (provenance is in
        columns behind the others), ``.fasta`` (all behind the names) or ``.gb`` (GenBank: flanks and insert are
        features, all else is in the comment). A file of this name is replaced. Text that a spreadsheet would take for a
        formula is a cell of text in ``.xlsx``, and has an apostrophe before it in ``.csv``.
    sequences : iterable of str, or of Biopython's Seq or SeqRecord
        Designs: DNA, RNA or protein; also oligos with IUPAC codes, such as those of a `Library`.
    names : iterable of str, optional
        One for each design. Names that some vendor would refuse are changed with a warning, and the column
        `original_name` has them as they were. Default: ``design_1``, ...
    left_flank, right_flank : str
        Put before and behind each design and each control.
    controls : mapping of str to iterable of str, optional
        Other sequences to order, by the name of their group, such as ``{"shuffled": [...], "wild type": [...]}``. They
        follow the designs.
    plate : 96 or 384, optional
        Give each sequence a plate, counted from 1, and a well.
    by : "row" or "column"
        Fill a plate A1, A2, ... or A1, B1, ...
    partial : bool
        Allow a last plate that is not full.
    columns : mapping or DataFrame, optional
        Further columns, such as scores, with a value for each design; empty for controls.
    provenance : mapping of str to object, optional
        What to remember of all sequences: seed, digest of the model, ... The date, the version of seqdiff and the
        flanks are added.
    alphabet : str or Alphabet
        ``"dna"``, ``"rna"`` or ``"protein"``; name it where there are IUPAC codes, as these are also residues.

    Returns
    -------
    DataFrame
        One row a sequence, see the head of this module; without the provenance.

    Raises
    ------
    InputError
        If the file cannot be written, a sequence or an argument is wrong, or the last plate would not be full.

    Examples
    --------
    >>> table = write_order("order.csv", ["ACGTACGT", "GGTTCCAA"], left_flank="AAAA", plate=96, partial=True)
    >>> table[["plate", "well", "name", "sequence", "length", "gc"]].to_numpy().tolist()[1]
    [1, 'A2', 'design_2', 'AAAAGGTTCCAA', 12, 0.3333]
    """
    import pandas as pd
    from Bio.SeqUtils import gc_fraction

    file = _checked_path(path)
    Choice(options=("row", "column")).check("by", by)
    Switch().check("partial", partial)
    if provenance is not None and not isinstance(provenance, Mapping):
        cure = 'give one such as {"seed": 1}'
        raise InputError(argument("provenance"), of_kind(provenance), "a dict by what it says", cure)
    inserts, known = read_designs(sequences, alphabet, codes=True)
    n = len(inserts)
    left, right = (
        read_designs([flank], known, name, codes=True)[0][0] if flank != "" else ""
        for name, flank in {"left_flank": left_flank, "right_flank": right_flank}.items()
    )
    given, groups = _names_of(names, n), ["design"] * n
    for group, members in _controls(controls).items():
        found, _ = read_designs(members, known, f"{argument('controls')}[{group!r}]", codes=True)
        inserts, groups = inserts + found, groups + [group] * len(found)
        given += [f"{clean_names([group])[0]}_{i}" for i in range(1, len(found) + 1)]
    cleaned, full = clean_names(given), [left + insert + right for insert in inserts]
    if file.suffix.lower() == ".xlsx" and (longest := max(map(len, full))) > LONGEST_CELL:
        wanted = f"at most {LONGEST_CELL:,} letters, as a cell of Excel holds"
        raise InputError(argument("sequences"), f"a sequence of {longest:,} letters", wanted, "write .csv or .fasta")
    table: dict[str, list[Any]] = _wells(plate, by, partial, n, len(full) - n)
    table |= {"name": cleaned, "sequence": full, "group": groups, "length": [len(sequence) for sequence in full]}
    if known.name != "protein":
        table["gc"] = [round(gc_fraction(sequence, "weighted"), 4) for sequence in full]
        table["tm"] = [melting_temperature(sequence, known) for sequence in full]
    changed = [i for i in range(n) if str(given[i]) != cleaned[i]]
    if changed:
        table["original_name"] = [str(name) for name in given[:n]] + [None] * (len(full) - n)
    for name, values in _values({} if columns is None else columns, table, n).items():
        table[name] = values + [None] * (len(full) - n)
    remembered = {
        **{key: flank for key, flank in {"left_flank": left, "right_flank": right}.items() if flank},
        "date": datetime.date.today().isoformat(),
        "seqdiff": __version__,
        **{printable(str(key)): _plain(value) for key, value in (provenance or {}).items()},
    }
    order = _Order(table, (len(left), len(right)), known, remembered)
    with replacing(file) as temporary:
        WRITERS[file.suffix.lower()](temporary, order)
    if changed:
        first = f"{shown(str(given[changed[0]]), 40)} to {shown(cleaned[changed[0]])}"
        was = "name was" if len(changed) == 1 else "names were"
        warn(f"{len(changed):,} {was} changed to what vendors accept ({first}); see the column original_name")
    return pd.DataFrame(table)
