"""Templates as people write them: an IUPAC string, or the allowed letters of each position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqdiff.data.alphabet import Alphabet
from seqdiff.data.lengths import LengthLaw


def parse_template(template: Any, alphabet: Alphabet, law: LengthLaw, length: int | None = None) -> np.ndarray:
    """Return which letters each position may have.

    Parameters
    ----------
    template : str or list
        A string of letters and IUPAC symbols (``N`` any base, ``R`` A or G, ...; of k-mers, ``ATGNNKTAA``), or a list
        with the allowed letters of each position, None where all are.
    alphabet : Alphabet
    law : LengthLaw
        The lengths the model makes.
    length : int, optional
        A length asked for beside the template.

    Returns
    -------
    ndarray (L, K) of bool

    Raises
    ------
    ValueError
        If a symbol is unknown, a position allows nothing, or the length is not one the model makes.

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> parse_template("AN", DNA, LengthLaw.fit([2])).astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 1, 1]]
    """
    if not isinstance(template, Sequence) or len(template) == 0:
        raise ValueError(f"template={template!r} is not a template; give a string or a list with one entry a position")
    if isinstance(template, str):
        template = alphabet.split(template)
    if not np.isfinite(law.log_prob(np.array([len(template)])))[0]:
        known = f"{law.max_length}" if law.fixed else f"1 to {law.max_length}"
        raise ValueError(f"template has {len(template)} positions, but this model makes sequences of {known} letters")
    if length is not None and np.any(np.asarray(length) != len(template)):
        raise ValueError(f"length={length!r} contradicts the template of {len(template)} positions; leave length out")
    allowed = np.zeros((len(template), len(alphabet)), dtype=bool)
    for i, entry in enumerate(template):
        allowed[i] = _allowed_at(entry, i, alphabet)
    return allowed


def _allowed_at(entry: Any, position: int, alphabet: Alphabet) -> np.ndarray:
    row = np.zeros(len(alphabet), dtype=bool)
    if entry is None:
        return ~row
    # A letter of several characters is one symbol, not a set of them.
    symbols = alphabet.choices(entry) if isinstance(entry, str) else entry
    try:
        symbols = list(symbols)
    except TypeError:
        raise ValueError(f"template position {position + 1} is {entry!r}; give letters or None") from None
    if not symbols:
        raise ValueError(f"template position {position + 1} allows no letter; give letters, or None for any")
    for symbol in symbols:
        try:
            row[list(alphabet.allowed(symbol))] = True
        except (ValueError, TypeError, AttributeError):
            single = all(len(letter) == 1 for letter in alphabet.letters)
            letters = ("" if single else " ").join(alphabet.letters)
            letters = letters if len(letters) < 40 else f"{len(alphabet)} letters"
            raise ValueError(
                f"template position {position + 1} holds {symbol!r}, which the {alphabet.name} alphabet ({letters}) "
                "does not know; give its letters"
            ) from None
    return row
