"""`infill` and `mutate` of every estimator: given sequences, of which only some letters may change.

Both are templates, one for each variant: what stays is fixed, what is written anew is free, and where a mutation is
wanted all but the present letter are allowed. So whatever goes with templates goes with them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from seqdiff import runtime
from seqdiff.data import AlphabetError, Forbidden, Records, parse_positions, read_records
from seqdiff.data.overlapping import OverlappingKmers
from seqdiff.data.vocabularies import PieceAlphabet, WordAlphabet
from seqdiff.data.writing import check_output
from seqdiff.errors import InputError, argument, shown
from seqdiff.estimators import parameters
from seqdiff.estimators.generating import PARTICLES, Order
from seqdiff.parameters import Whole

DRAWS = 100
"""How often positions to mutate are drawn anew while the letters that stay hold a forbidden word."""


class Originals:
    """Sequences that are to be changed, as a fitted generator reads them.

    Attributes
    ----------
    sequences : list of str
    tokens : ndarray (N, L)
    lengths : ndarray (N,)
        In letters.

    Raises
    ------
    ValueError
        If they cannot be read, have letters the model does not know, or lengths that it does not make.
    """

    def __init__(self, given: Any, model: Any) -> None:
        self.alphabet = model.alphabet_
        if isinstance(self.alphabet, (WordAlphabet, PieceAlphabet, OverlappingKmers)):
            raise ValueError(
                f"this model's letters ({self.alphabet.name}) are not read one after the other, so that one cannot be "
                "changed without others; fit a model with another alphabet"
            )
        self.records = self._read(given, model.sequence_column)
        self.sequences = self.alphabet.normalize(self.records.sequences)
        try:
            self.tokens, self.lengths = self.alphabet.encode(self.sequences)
        except AlphabetError as error:
            found = self.alphabet.explain(error.letter, error.position)
            raise ValueError(f"{self.place(error.index)}: {found}; correct the sequence") from None
        law = model.length_law_
        impossible = np.flatnonzero(~np.isfinite(law.log_prob(self.lengths)))
        if len(impossible):
            first = int(impossible[0])
            known = f"{law.max_length}" if law.fixed else f"1 to {law.max_length}"
            raise ValueError(
                f"{self.place(first)} has {self.lengths[first]} letters, but this model makes sequences of {known}; "
                "leave it out"
            )

    def _read(self, given: Any, sequence_column: str | None) -> Records:
        if isinstance(given, str) and not os.path.isfile(os.path.expanduser(given)):
            # One sequence; what looks like the name of a file, and could not be a sequence, is a file that is missing.
            pieces = set(self.alphabet.split(self.alphabet.normalize([given])[0]))
            if pieces <= set(self.alphabet.letters) or not re.search(r"[/\\]|\.\w{1,8}$", given):
                given = [given]
        return read_records(given, sequence_column=sequence_column)

    def __len__(self) -> int:
        return len(self.sequences)

    def place(self, i: int) -> str:
        """Return what to call sequence i in an error."""
        return re.sub(r"^X(?=\[|\.)", "sequences", self.records.place(i))

    def templates(self, free: np.ndarray, differ: bool, rows: np.ndarray) -> np.ndarray:
        """Return the letters (n, L, K) that variants number `rows` of the sequences (n,) may have.

        Anything at the positions `free` (n, L) booleans, but for the present letter if they are to differ.
        """
        present = np.eye(len(self.alphabet), dtype=bool)[self.tokens[rows]]  # (n, L, K)
        return np.where(free[..., None], ~present if differ else True, present)

    def held(self, words: Forbidden, allowed: np.ndarray, row: int) -> str | None:
        """Return the forbidden word that every variant of a sequence with these allowed letters (L, K) holds."""
        length = int(self.lengths[row])
        if words.patterns:
            return words.unavoidable(allowed[:length])
        # letters of several characters: what stays spells what stands between the free positions
        pieces = [""]
        for position, letter in enumerate(self.alphabet.split(self.sequences[row])):
            if allowed[position].sum() == 1:
                pieces[-1] += letter
            else:
                pieces.append("")
        return next((word for piece in pieces if (word := words.found(piece)) is not None), None)


class EditingMixin:
    """What a fitted generator needs to change sequences."""

    objective_: Any
    alphabet_: Any
    _ordered: Any
    _deliver: Any

    def infill(
        self,
        sequences: Any,
        mask: Any,
        n: int = 1,
        *,
        y: Any = None,
        guidance: Any = None,
        forbid: Any = None,
        steps: int | None = None,
        temperature: float = 1.0,
        random_state: int | None = None,
        out: str | os.PathLike[str] | None = None,
    ) -> list[str]:
        """Write some positions of sequences anew; all others stay.

        Variants follow the model's p(x | the letters that stay): for `MaskedDiffusion`, `SCUD` and `DirichletFM`, whose
        networks see these letters from the start, as well as its samples follow p(x); for the others in the limit of
        many particles, of which each variant takes 16, or 64 of `Autoregressive` (``guidance=LookAhead(64)`` takes
        more, ``LookAhead(1)`` the mask alone). Beside a guide that chooses among particles itself, such as `Reward`, it
        is the mask alone.

        Parameters
        ----------
        sequences : str, path, list, array, Series, DataFrame or Biopython records
            One sequence or as in `fit`; of any lengths that the model makes.
        mask : array, list or str
            What is written anew: booleans (L,) or (N, L), a list of positions counted from 0, or a string such as
            ``----NNNN----`` with a character for each letter, of which all but ``-`` mark one (or a list of such
            strings, one for each sequence). Letters of several characters (codons, atoms) are one position each.
        n : int
            Variants of each sequence.
        y : optional
            As in `generate`: one for all, or one for each sequence.
        guidance, forbid, steps, temperature, random_state, out
            As in `generate`. Guides that want something of each sample want it of each variant.

        Returns
        -------
        list of str
            The variants of the first sequence first. Two of them may be alike, and like the sequence. Variants that
            hold a forbidden word after 20 more tries are left out, with a warning; `made_` then says which there are.

        Raises
        ------
        ValueError
            If an argument is not as it should be, or the letters that stay hold a forbidden word.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
        >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
        >>> variants = model.infill("ACGTAC", "--NN--", n=3, random_state=0)
        >>> [s[:2] + s[4:] for s in variants]
        ['ACAC', 'ACAC', 'ACAC']
        """
        originals, seed, words, out = self._to_change(sequences, n, steps, temperature, random_state, out, forbid)
        free = parse_positions(mask, originals.lengths, "mask", originals.place)
        rows = np.repeat(np.arange(len(originals)), n)
        allowed = originals.templates(free[rows], False, rows)
        if words is not None:
            for i in range(len(originals)):
                if (word := originals.held(words, allowed[i * n], i)) is not None:
                    raise ValueError(
                        f"{originals.place(i)} holds {word}, which forbid rules out, where the mask lets nothing "
                        "change; widen the mask or forbid less"
                    )
        order = self._changed(originals, rows, allowed, n, y, guidance, words, steps, temperature, seed)
        return self._deliver(order, words, seed, out)

    def mutate(
        self,
        sequences: Any,
        n_mutations: int = 1,
        n: int = 1,
        *,
        positions: Any = None,
        y: Any = None,
        guidance: Any = None,
        forbid: Any = None,
        steps: int | None = None,
        temperature: float = 1.0,
        random_state: int | None = None,
        out: str | os.PathLike[str] | None = None,
    ) -> list[str]:
        """Propose variants that differ from sequences in exactly so many positions.

        Which positions is drawn, all alike; what stands there follows the model's p(x | the letters that stay, none of
        the present letters at these positions), in the limit of many particles, of which each variant takes some where
        the network cannot be shown this from the start; see `infill`.

        Parameters
        ----------
        sequences : str, path, list, array, Series, DataFrame or Biopython records
            As in `infill`.
        n_mutations : int
            Positions that differ.
        n : int
            Variants of each sequence.
        positions : array, list or str, optional
            Where mutations may be, as the `mask` of `infill`; None is anywhere.
        y : optional
            As in `generate`: one for all, or one for each sequence.
        guidance, forbid, steps, temperature, random_state, out
            As in `generate`. Positions are drawn so that the letters that stay hold no forbidden word.

        Returns
        -------
        list of str
            As from `infill`.

        Raises
        ------
        ValueError
            If an argument is not as it should be, or no draw of positions breaks up a forbidden word.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
        >>> model = model.fit(["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"])
        >>> variants = model.mutate("ACGTAC", n_mutations=2, n=3, random_state=0)
        >>> [sum(a != b for a, b in zip("ACGTAC", s)) for s in variants]
        [2, 2, 2]
        """
        originals, seed, words, out = self._to_change(sequences, n, steps, temperature, random_state, out, forbid)
        Whole(1).check("n_mutations", n_mutations)
        width = originals.tokens.shape[1]
        if positions is None:
            possible = np.arange(width) < originals.lengths[:, None]
        else:
            possible = parse_positions(positions, originals.lengths, "positions", originals.place)
        few = np.flatnonzero(possible.sum(-1) < n_mutations)
        if len(few):
            i = int(few[0])
            where = "letters" if positions is None else "positions that may change"
            wanted = f"a smaller number, as {originals.place(i)} has {possible[i].sum()} {where}"
            raise InputError(argument("n_mutations"), shown(n_mutations), wanted, "give one")
        rows = np.repeat(np.arange(len(originals)), n)
        allowed = self._mutations(originals, rows, possible, int(n_mutations), words, seed)
        order = self._changed(originals, rows, allowed, n, y, guidance, words, steps, temperature, seed)
        return self._deliver(order, words, seed, out)

    def _to_change(
        self, sequences: Any, n: Any, steps: Any, temperature: Any, random_state: Any, out: Any, forbid: Any
    ) -> tuple[Originals, int, Forbidden | None, Path | None]:
        """Return what both share, checked: the sequences, the seed, the forbidden words and the file to write."""
        check_is_fitted(self, "objective_")
        seed = parameters.check_seed(random_state)
        out = None if out is None else check_output(out, self.alphabet_)
        parameters.check_generate(n, steps, temperature)
        originals = Originals(sequences, self)
        return originals, seed, None if forbid is None else Forbidden(forbid, originals.alphabet), out

    def _mutations(
        self,
        originals: Originals,
        rows: np.ndarray,
        possible: np.ndarray,
        count: int,
        words: Forbidden | None,
        seed: int,
    ) -> np.ndarray:
        """Return the letters (n, L, K) that variants may have, which differ from the sequences in `count` positions."""
        allowed = np.empty((len(rows), possible.shape[1], len(originals.alphabet)), dtype=bool)
        left = np.arange(len(rows))
        held: str | None = None
        for attempt in range(1 if words is None else DRAWS):
            generators = runtime.chunk_generators(len(rows), "cpu", seed, "positions", attempt)
            u = runtime.uniform(possible[rows].shape, generators, "cpu").numpy()[left]
            order = np.where(possible[rows[left]], u, 2.0).argsort(-1, kind="stable")
            free = np.zeros_like(possible[rows[left]])
            np.put_along_axis(free, order[:, :count], True, -1)
            allowed[left] = originals.templates(free, True, rows[left])
            if words is None:
                return allowed
            found = {i: originals.held(words, allowed[i], int(rows[i])) for i in left.tolist()}
            left = np.array([i for i, word in found.items() if word is not None], dtype=int)
            if not len(left):
                return allowed
            held = found[int(left[0])]
        raise ValueError(
            f"{originals.place(int(rows[left[0]]))} holds {held}, which forbid rules out, and {count} "
            f"mutation{'s' * (count > 1)} drawn {DRAWS} times did not touch it; give it alone as positions, more "
            "mutations, or forbid less"
        )

    def _changed(
        self, originals: Originals, rows: np.ndarray, allowed: np.ndarray, n: int, y: Any, guidance: Any,
        words: Forbidden | None, steps: int | None, temperature: float, seed: int,
    ) -> Order:  # fmt: skip
        """Return the order of n variants of each sequence with these allowed letters (N n, L, K)."""
        lengths = torch.from_numpy(originals.lengths[rows])
        width = allowed.shape[1]
        return self._ordered(
            lengths, width, y, allowed, guidance, words, steps, temperature, seed, each=n, particles=PARTICLES
        )
