"""Templates as people write them: a string of letters, IUPAC symbols and sets, or the letters of each position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqdiff.data.alphabet import Alphabet
from seqdiff.data.lengths import LengthLaw
from seqdiff.errors import shown


def parse_template(template: Any, alphabet: Alphabet, law: LengthLaw, length: int | None = None) -> np.ndarray:
    """Return which letters each position may have.

    Parameters
    ----------
    template : str or list
        A string of letters and IUPAC symbols (``N`` any base, ``X`` any amino acid, ``R`` A or G, ...; of k-mers,
        ``ATGNNKTAA``) and, where letters are single characters, of sets such as ``[AVI]`` (``[AVI]XXGKT``); or a list
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
        If a symbol is unknown, a position allows nothing, a bracket is not closed, or the length is not one the model
        makes.

    Examples
    --------
    >>> from seqdiff.data import DNA
    >>> parse_template("AN", DNA, LengthLaw.fit([2])).astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 1, 1]]
    >>> parse_template("[AT]Y", DNA, LengthLaw.fit([2])).astype(int).tolist()
    [[1, 0, 0, 1], [0, 1, 0, 1]]
    """
    if not isinstance(template, Sequence) or len(template) == 0:
        raise ValueError(
            f"template={shown(template)} is not a template; give a string or a list with one entry a position"
        )
    if isinstance(template, str):
        template = _symbols(template, alphabet)
    if not np.isfinite(law.log_prob(np.array([len(template)])))[0]:
        known = f"{law.max_length}" if law.fixed else f"1 to {law.max_length}"
        raise ValueError(f"template has {len(template)} positions, but this model makes sequences of {known} letters")
    if length is not None and np.any(np.asarray(length) != len(template)):
        raise ValueError(
            f"length={shown(length)} contradicts the template of {len(template)} positions; leave length out"
        )
    allowed = np.zeros((len(template), len(alphabet)), dtype=bool)
    for i, entry in enumerate(template):
        allowed[i] = _allowed_at(entry, i, alphabet)
    return allowed


def _symbols(template: str, alphabet: Alphabet) -> list[str]:
    """Return what stands at each position of a string: a symbol, or all those of a set."""
    # where brackets are letters, or parts of letters such as SMILES has, they open no set
    sets = alphabet.name != "smiles" and all(len(letter) == 1 and letter not in "[]" for letter in alphabet.letters)
    if not sets or not set(template) & set("[]"):
        return alphabet.split(template)
    found: list[str] = []
    rest = template
    while rest:
        if rest[0] == "]":
            raise ValueError(f"template position {len(found) + 1} closes a set that was not opened; write [ before it")
        end = rest.find("]") if rest[0] == "[" else 0
        if end < 0 or "[" in rest[1:end]:
            raise ValueError(f"template position {len(found) + 1} opens a set that is not closed; write ] behind it")
        if end == 1:
            raise ValueError(f"template position {len(found) + 1} is an empty set; write letters between [ and ]")
        found.append(rest[1:end] if end else rest[0])
        rest = rest[end + 1 :]
    return found


def _allowed_at(entry: Any, position: int, alphabet: Alphabet) -> np.ndarray:
    row = np.zeros(len(alphabet), dtype=bool)
    if entry is None:
        return ~row
    # A letter of several characters is one symbol, not a set of them.
    symbols = alphabet.choices(entry) if isinstance(entry, str) else entry
    try:
        symbols = list(symbols)
    except TypeError:
        raise ValueError(f"template position {position + 1} is {shown(entry)}; give letters or None") from None
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
                f"template position {position + 1} holds {shown(symbol)}, which the {alphabet.name} alphabet"
                f" ({letters}) does not know; give its letters"
            ) from None
    return row
