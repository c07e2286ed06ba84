"""Bits per letter: the unit that every likelihood in this package is published in.

    bits per letter = - sum_i log p(x_i) / (ln 2 sum_i |x_i|)

All nats, those of the length included, over all letters: a ratio of sums, so that long sequences weigh as much as their
letters and the figure does not depend on how sequences are cut. Two bits per letter is a random draw from four letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqdiff.errors import InputError, argument, shorten, shown

if TYPE_CHECKING:
    import pandas as pd


def _nats_and_letters(log_likelihood, sequences) -> tuple[np.ndarray, np.ndarray]:
    """Check the two against each other; return -log p and the number of letters of each sequence."""
    nats = -np.asarray(log_likelihood, dtype=float)
    letters = np.array([len(sequence) for sequence in sequences], dtype=float)
    if nats.shape != letters.shape:
        found = f"shape {nats.shape} for {len(letters)} sequences"
        raise InputError(argument("log_likelihood"), found, "one number per sequence", "give as many")
    if not letters.sum():
        raise InputError(argument("sequences"), "no letters at all", "at least one letter", "give some that have any")
    return nats, letters


def bits_per_letter(log_likelihood: Sequence[float] | np.ndarray, sequences: Sequence[str]) -> float:
    """Return the mean number of bits that a letter costs.

    Parameters
    ----------
    log_likelihood : array of float, shape (n,)
        Nats per sequence, as `score_samples` returns them.
    sequences : sequence of str, length n
        What was scored.

    Returns
    -------
    float
        Bits per letter; `inf` where one sequence is impossible.

    Raises
    ------
    InputError
        If the two do not fit together, or there are no letters.

    Examples
    --------
    >>> import numpy as np
    >>> bits_per_letter([4 * np.log(1 / 4), 2 * np.log(1 / 4)], ["ACGT", "AC"])
    2.0
    """
    nats, letters = _nats_and_letters(log_likelihood, sequences)
    return float(nats.sum() / letters.sum() / np.log(2))


def bits_per_letter_error(log_likelihood: Sequence[float] | np.ndarray, sequences: Sequence[str]) -> float:
    """Return the standard error of `bits_per_letter`, the sequences being a random sample.

    Parameters
    ----------
    log_likelihood : array of float, shape (n,)
        Nats per sequence.
    sequences : sequence of str, length n
        What was scored.

    Returns
    -------
    float
        Bits per letter; that of a ratio of two sums (the delta method), `nan` for a single sequence or an impossible
        one. Two models on the same sequences differ by much less than their errors say: see `compare_table`.

    Raises
    ------
    InputError
        If the two do not fit together, or there are no letters.

    Examples
    --------
    >>> bits_per_letter_error([-2.0, -3.0, -4.0, -3.0], ["AC", "AC", "GT", "GG"])
    0.2944...
    """
    nats, letters = _nats_and_letters(log_likelihood, sequences)
    n = len(nats)
    if n < 2 or not np.isfinite(nats).all():
        return float("nan")
    residual = nats - nats.sum() / letters.sum() * letters
    return float(np.sqrt(n / (n - 1) * (residual**2).sum()) / letters.sum() / np.log(2))


def compare_table(
    log_likelihoods: Mapping[str, Sequence[float] | np.ndarray], sequences: Sequence[str], reference: str | None = None
) -> pd.DataFrame:
    """Return a table of several models' bits per letter on the same sequences.

    Parameters
    ----------
    log_likelihoods : mapping of str to array of float, shape (n,)
        Nats per sequence, by model.
    sequences : sequence of str, length n
        What was scored.
    reference : str, optional
        The model that the others are compared with, sequence by sequence. Default: the first.

    Returns
    -------
    DataFrame
        Row: model. Columns, all in bits per letter: `bits`, `error` (standard error), `above` (bits above the
        reference's) and `above_error` (standard error of that difference, paired by sequence, so usually far smaller).

    Raises
    ------
    InputError
        If there is no model, `reference` is none of them, or one does not fit the sequences.

    Examples
    --------
    >>> table = compare_table({"good": [-2.0, -3.0], "bad": [-3.0, -4.0]}, ["AC", "GT"])
    >>> table.round(3).loc["bad", ["above", "above_error"]].tolist()
    [0.721, 0.0]
    """
    import pandas as pd

    if not log_likelihoods:
        raise InputError(argument("log_likelihoods"), "no model", "at least one", "give one")
    name = next(iter(log_likelihoods)) if reference is None else reference
    if name not in log_likelihoods:
        known = shorten(", ".join(map(repr, log_likelihoods)), 200)
        raise InputError(argument("reference"), shown(name), f"one of the models {known}", "name one of them")
    base = np.asarray(log_likelihoods[name], dtype=float)
    rows = {}
    for model, values in log_likelihoods.items():
        values = np.asarray(values, dtype=float)
        bits, error = bits_per_letter(values, sequences), bits_per_letter_error(values, sequences)
        with np.errstate(invalid="ignore"):  # impossible under both: inf - inf
            paired = values - base
        rows[model] = [bits, error, bits_per_letter(paired, sequences), bits_per_letter_error(paired, sequences)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["bits", "error", "above", "above_error"])
