"""Rules that a construct must obey before it is ordered, with the reason and the position of each breach.

A vendor makes the construct, left flank + design + right flank, so the construct is judged: positions count from 1 at
its first letter, and a site that a flank and the design make together is found. What lies in the flanks alone, such as
the BsaI sites of an assembly, is the user's own and no breach.

Each rule is a class of two methods: `suspects` looks at all constructs of one length at once and never misses a breach;
`violations` lists those of one construct. `DesignRules.passes` and `DesignRules.check` both read these two.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from seqdiff.alphabets.alphabet import unknown
from seqdiff.alphabets.alphabets import AlphabetLike
from seqdiff.data import Alphabet, Forbidden, resolve_alphabet
from seqdiff.data.constraints import LONGEST_RUN, characters_of, plain_motifs
from seqdiff.data.images import refuse_images
from seqdiff.data.reading import is_sequence_object, to_strings
from seqdiff.errors import InputError, argument, listed, of_kind, shorten, shown
from seqdiff.inputs import MotifsLike, PathLike
from seqdiff.parameters import Real, Switch, Whole

VENDORS = Path(__file__).parent / "vendors"
LOOP = 3
"""Letters that the loop of a hairpin has at least."""
SPAN = 200
"""Letters of a hairpin at most, both arms and the loop; farther arms rarely meet, and vendors look no farther."""
LETTERS_AT_ONCE = 1 << 21
"""Of the constructs that numpy works on at a time, which bounds the memory."""
HELD = 31
"""Nucleotides that a 64-bit number holds, one bit and the sign left."""
SHOWN = 30
"""Letters of a stretch that a reason quotes."""


@dataclass(frozen=True)
class Violation:
    """A breach of a rule.

    Parameters
    ----------
    rule : str
        The parameter of `DesignRules`.
    reason : str
        What is wrong, as a clause.
    first, last : int or None
        Letters of the construct, left flank + design + right flank, counted from 1, both included; None where the whole
        construct is meant.
    """

    rule: str
    reason: str
    first: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, eq=False)
class Constructs:
    """Constructs of one length.

    Parameters
    ----------
    texts : list of str
        n of them.
    tokens : ndarray (n, L)
        Their letters as numbers.
    alphabet : Alphabet
        Of letters of one character.
    start, stop : int
        The design is letters [start, stop), counted from 0; the flanks are before and behind it.
    """

    texts: list[str]
    tokens: np.ndarray
    alphabet: Alphabet
    start: int
    stop: int

    def take(self, rows: np.ndarray) -> Constructs:
        """Return some of the constructs."""
        return replace(self, texts=[self.texts[row] for row in rows], tokens=self.tokens[rows])

    def of_design(self, first: Any, end: Any) -> Any:
        """Return whether letters [first, end) are not all those of a flank; of arrays, for each."""
        return (first < self.stop) & (end > self.start)

    def junctions(self, first: int, end: int) -> str:
        """Return which ends of the design lie within letters [first, end), as the last clause of a reason."""
        crossed = [side for side, at in (("left", self.start), ("right", self.stop)) if first < at < end]
        return f", across {'both junctions' if len(crossed) > 1 else f'the {crossed[0]} junction'}" if crossed else ""

    @cached_property
    def complement(self) -> np.ndarray:
        """The complement of each letter of the alphabet."""
        return np.array(self.alphabet.complement, dtype=self.tokens.dtype)

    @cached_property
    def gc_before(self) -> np.ndarray:
        """(n, L + 1) the number of G and C before each position."""
        strong = np.array([letter in "GC" for letter in self.alphabet.letters])
        counts = np.zeros((len(self.texts), self.tokens.shape[1] + 1), dtype=np.int32)
        np.cumsum(strong[self.tokens], axis=1, out=counts[:, 1:])
        return counts

    def windows(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers (n, L - k + 1) of the windows of k letters, and of their reverse complements.

        Equal windows have equal numbers, also across both arrays; of longer ones than a number holds, those that begin
        with the same letters have.
        """
        both = np.concatenate([self.tokens, self.complement[self.tokens][:, ::-1]])
        width = both.shape[1] - k + 1
        numbers = both[:, :width].astype(np.int64)
        for offset in range(1, min(k, HELD)):
            numbers *= 4
            numbers += both[:, offset : offset + width]
        n = len(self.texts)
        return numbers[:n], numbers[n:, ::-1]


def stretches(starts: np.ndarray, m: int) -> Iterator[tuple[int, int]]:
    """Yield the letters [first, end) that neighbouring windows of m letters cover together.

    >>> list(stretches(np.array([True, True, False, True]), 3))
    [(0, 4), (3, 6)]
    """
    where = np.flatnonzero(starts)
    for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(where) else []:
        yield int(run[0]), int(run[-1]) + m


class Rule:
    """A rule, of the name that its parameter has in `DesignRules`.

    Attributes
    ----------
    exact : bool
        Whether every suspect is a breach.
    paired : bool
        Whether the rule has a meaning for DNA and RNA alone.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = True
    paired: ClassVar[bool] = True

    def suspects(self, constructs: Constructs) -> np.ndarray:
        """Return which constructs, (n,) booleans, may break the rule; all that do are among them."""
        return np.ones(len(constructs.texts), dtype=bool)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        """Yield the breaches of one construct, in order of position."""
        raise NotImplementedError


class Length(Rule):
    """Letters of the construct, `low` to `high`."""

    name, paired = "length", False

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def suspects(self, constructs: Constructs) -> np.ndarray:
        length = constructs.tokens.shape[1]
        return np.full(len(constructs.texts), not self.low <= length <= self.high)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        length = constructs.tokens.shape[1]
        yield Violation(self.name, f"length {length}, {_beyond(length, self.low, self.high)}")


def _beyond(value: float, low: float, high: float) -> str:
    """Return which of two limits a value is beyond."""
    return f"below {low:g}" if value < low else f"above {high:g}"


class GC(Rule):
    """Share of G and C in the construct, `low` to `high`."""

    name = "gc"

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def shares(self, constructs: Constructs) -> np.ndarray:
        return constructs.gc_before[:, -1] / constructs.tokens.shape[1]

    def suspects(self, constructs: Constructs) -> np.ndarray:
        share = self.shares(constructs)
        return (share < self.low) | (share > self.high)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        share = self.shares(constructs)[row]
        yield Violation(self.name, f"GC share {share:.4g}, {_beyond(share, self.low, self.high)}")


class GCWindow(Rule):
    """Share of G and C in each window of `letters` letters, `low` to `high`; of a shorter construct, in all of it."""

    name = "gc_window"

    def __init__(self, letters: int, low: float, high: float) -> None:
        self.letters, self.low, self.high = letters, low, high

    def shares(self, constructs: Constructs) -> tuple[int, np.ndarray]:
        """Return the letters w of a window and the share in each, (n, L - w + 1); nan in those of a flank alone."""
        w = min(self.letters, constructs.tokens.shape[1])
        before = constructs.gc_before
        shares = (before[:, w:] - before[:, :-w]) / w
        first = np.arange(shares.shape[1])
        shares[:, ~constructs.of_design(first, first + w)] = np.nan
        return w, shares

    def suspects(self, constructs: Constructs) -> np.ndarray:
        _, shares = self.shares(constructs)
        return np.any((shares < self.low) | (shares > self.high), axis=1)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        w, shares = self.shares(constructs.take(np.array([row])))
        found = []
        for beyond, side, worst in ((shares[0] < self.low, "down", np.min), (shares[0] > self.high, "up", np.max)):
            for first, end in stretches(beyond, w):
                share = worst(shares[0, first : end - w + 1])
                where = f"windows of {w} letters at {first + 1} to {end}"
                reason = f"GC share {side} to {share:.4g} in {where}, {_beyond(share, self.low, self.high)}"
                found.append(Violation(self.name, reason, first + 1, end))
        yield from sorted(found, key=_position)


class Homopolymer(Rule):
    """Longest run of one letter."""

    name, paired = "max_homopolymer", False

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def starts(self, tokens: np.ndarray) -> np.ndarray:
        """Return where windows of one letter more than the longest run are of one letter, (n, L - longest)."""
        same = tokens[:, 1:] == tokens[:, :-1]
        width = max(0, tokens.shape[1] - self.longest)
        starts = np.ones((len(tokens), width), dtype=bool)
        for i in range(self.longest if width else 0):
            starts &= same[:, i : i + width]
        return starts

    def suspects(self, constructs: Constructs) -> np.ndarray:
        starts = self.starts(constructs.tokens)
        first = np.arange(starts.shape[1])
        return (starts & constructs.of_design(first, first + self.longest + 1)).any(1)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        text = constructs.texts[row]
        for first, end in stretches(self.starts(constructs.tokens[row : row + 1])[0], self.longest + 1):
            if constructs.of_design(first, end):
                what = f"run of {end - first} {text[first]} at {first + 1} to {end}, more than {self.longest}"
                yield Violation(self.name, what + constructs.junctions(first, end), first + 1, end)


class Forbid(Rule):
    """Motifs that do not occur.

    The hits of a motif of one repeated symbol (``AAAA``, ``SSSSSS``) that overlap are one stretch.
    """

    name, paired = "forbid", False

    def __init__(self, forbidden: Forbidden) -> None:
        self.forbidden = forbidden

    def suspects(self, constructs: Constructs) -> np.ndarray:
        found = np.zeros(len(constructs.texts), dtype=bool)
        for motif, starts in self.forbidden.hits(constructs.tokens):
            first = np.arange(starts.shape[1])
            found |= (starts & constructs.of_design(first, first + len(motif.pattern))).any(1)
        return found

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        found = []
        for motif, starts in self.forbidden.hits(constructs.tokens[row : row + 1]):
            m = len(motif.pattern)
            repeated = bool((motif.pattern == motif.pattern[0]).all())
            places = stretches(starts[0], m) if repeated else ((int(s), int(s) + m) for s in np.flatnonzero(starts[0]))
            for first, end in places:
                if constructs.of_design(first, end):
                    letters = shorten(constructs.texts[row][first:end], SHOWN)
                    site = (
                        f"{motif.name} site"
                        if motif.name != motif.symbols
                        else f"motif {shorten(motif.name, SHOWN)} as"
                    )
                    strand = " on the reverse strand" if motif.reverse else ""
                    reason = f"{site} {letters}{strand} at {first + 1} to {end}" + constructs.junctions(first, end)
                    found.append(Violation(self.name, reason, first + 1, end))
        yield from sorted(found, key=_position)


class Repeat(Rule):
    """Longest stretch that occurs twice; with `both_strands` also where one is the reverse complement of the other.

    The two may overlap, as in runs, unless one is reversed: of a palindrome the halves are compared.
    """

    name, exact = "max_repeat", False

    def __init__(self, longest: int, both_strands: bool) -> None:
        self.longest, self.both_strands = longest, both_strands

    def suspects(self, constructs: Constructs) -> np.ndarray:
        if constructs.tokens.shape[1] <= self.longest:
            return np.zeros(len(constructs.texts), dtype=bool)
        one, other = constructs.windows(self.longest + 1)
        seen = np.sort(np.minimum(one, other) if self.both_strands else one, axis=1)
        return (seen[:, 1:] == seen[:, :-1]).any(1)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        text = constructs.texts[row]
        found = [(j, n, i, "repeat") for i, j, n in _repeats(text, self.longest + 1)]
        if self.both_strands:
            other = constructs.alphabet.reverse_complement([text])[0]
            reverse = "are the reverse complement of"
            found += [(j, n, i, reverse) for i, j, n in _inverted_repeats(text, other, self.longest + 1)]
        for j, n, i, verb in sorted(found):
            if constructs.of_design(i, i + n) or constructs.of_design(j, j + n):
                letters = f"the {n} letters {shorten(text[j : j + n], SHOWN)} at {j + 1} to {j + n}"
                yield Violation(self.name, f"{letters} {verb} those at {i + 1} to {i + n}", j + 1, j + n)


def _repeats(text: str, k: int) -> Iterator[tuple[int, int, int]]:
    """Yield i, j, n: the longest stretch of n >= k letters at j that also begins before j, and first does at i.

    A stretch is left out where it is the rest of that at j - 1.
    """
    n, i = k - 1, -1
    for j in range(1, len(text) - k + 1):
        rest = n = max(n - 1, k - 1)
        while j + n < len(text) and (found := text.find(text[j : j + n + 1], 0, j + n)) >= 0:
            n, i = n + 1, found
        if n > rest:
            yield i, j, n


def _inverted_repeats(text: str, other: str, k: int) -> Iterator[tuple[int, int, int]]:
    """Yield the same where letters [i, i + n) end before j and are the reverse complement; `other` is all of it."""
    n, i, L = k - 1, -1, len(text)
    for j in range(1, L - k + 1):
        rest = n = max(n - 1, k - 1)
        # letters [i, i + n + 1) are [L - i - n - 1, L - i) of the other strand, and are to end before j
        while j + n < L and (found := other.rfind(text[j : j + n + 1], L - j)) >= 0:
            n, i = n + 1, L - found - n - 1
        if n > rest:
            yield i, j, n


class Hairpin(Rule):
    """Most letters of the perfect stem of a hairpin with a loop of `LOOP` or more letters, `SPAN` letters in all."""

    name, exact = "max_hairpin", False

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def suspects(self, constructs: Constructs) -> np.ndarray:
        if constructs.tokens.shape[1] < 2 * (self.longest + 1) + LOOP:
            return np.zeros(len(constructs.texts), dtype=bool)
        one, other = constructs.windows(self.longest + 1)
        # an even number and the odd one behind it: a window that occurs on both strands
        seen = np.sort(np.concatenate([2 * one, 2 * other + 1], axis=1), axis=1)
        return ((np.diff(seen, axis=1) == 1) & (seen[:, :-1] % 2 == 0)).any(1)

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        text = constructs.texts[row]
        other = constructs.alphabet.reverse_complement([text])[0]
        for i, j, n in _hairpins(text, other, self.longest + 1):
            if constructs.of_design(i, i + n) or constructs.of_design(j, j + n):
                arms = f"{shorten(text[i : i + n], SHOWN)} at {i + 1} to {i + n} with {j + 1} to {j + n}"
                reason = f"hairpin with a stem of {n}, {arms}, more than {self.longest}"
                yield Violation(self.name, reason, i + 1, j + n)


def _hairpins(text: str, other: str, k: int) -> list[tuple[int, int, int]]:
    """Return i, j, n: the arms [i, i + n) and [j, j + n) of each stem of n >= k letters, as long as it can be."""
    L = len(text)
    places: dict[str, list[int]] = defaultdict(list)
    for i in range(L - k + 1):
        places[text[i : i + k]].append(i)
    stems: dict[int, list[int]] = defaultdict(list)  # i + j, which all windows of a stem share -> their i
    for i in range(L - k + 1):
        second = places.get(other[L - i - k : L - i], [])
        for j in second[bisect_left(second, i + k + LOOP) : bisect_right(second, i + SPAN - k)]:
            stems[i + j].append(i)
    found = []
    for centre, first in stems.items():
        for run in np.split(first, np.flatnonzero(np.diff(first) > 1) + 1):
            found.append((int(run[0]), centre - int(run[-1]), len(run) + k - 1))
    return sorted(found)


def duplex_melting(sequence: str, alphabet: Alphabet) -> float:
    """Return the melting temperature of a sequence with its complement, degrees C, by nearest neighbours."""
    from Bio.SeqUtils import MeltingTemp

    table = MeltingTemp.RNA_NN3 if alphabet.name == "rna" else MeltingTemp.DNA_NN3
    return float(MeltingTemp.Tm_NN(sequence, nn_table=table))


class Melting(Rule):
    """Melting temperature of the construct with its complement, `low` to `high` degrees C."""

    name, exact = "melting", False

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        degrees = duplex_melting(constructs.texts[row], constructs.alphabet)
        if not self.low <= degrees <= self.high:
            reason = f"melting temperature {degrees:.1f} degrees C, {_beyond(degrees, self.low, self.high)}"
            yield Violation(self.name, reason)


class Energy(Rule):
    """Least folding energy of the construct, kcal/mol at 37 degrees C."""

    name, exact = "min_energy", False

    def __init__(self, least: float) -> None:
        self.least = least

    def violations(self, constructs: Constructs, row: int) -> Iterator[Violation]:
        try:
            import seqfold
        except ImportError:
            cure = 'pip install "seqdiff[design]"'
            raise InputError(argument("min_energy"), "no seqfold", "the library that folds", cure) from None
        energy = seqfold.dg(constructs.texts[row], temp=37.0)
        # seqfold returns -inf, or more than 0, where no fold is better than none
        if -np.inf < energy < self.least:
            yield Violation(self.name, f"folding energy {energy:.1f} kcal/mol at 37 degrees C, below {self.least:g}")


def _position(violation: Violation) -> tuple[int, int]:
    """Return a key that sorts by position, what has none first."""
    return violation.first or 0, violation.last or 0


@dataclass(frozen=True, kw_only=True, repr=False)
class DesignRules:
    """Rules for designs, each left out where it is None; a value that never changes.

    Where flanks are given, everything is judged in the construct, left flank + design + right flank, save what lies in
    the flanks alone. Proteins and other alphabets have `length`, `max_homopolymer`, `forbid` and the flanks; of codons
    and other k-mers, the letters that they spell are meant.

    Parameters
    ----------
    gc : (low, high), optional
        Share of G and C in the construct, 0 to 1.
    gc_window : (letters, low, high), optional
        The same in every window of so many letters; of a shorter construct, in all of it. Neighbouring windows beyond
        the same limit are one violation.
    max_homopolymer : int, optional
        Letters of the longest run of one letter.
    forbid : str, int, enzyme of Biopython's, or a list, default ()
        Restriction enzymes (``BsaI``), letters and IUPAC symbols (``GANTC``), whole numbers k for runs of k of the same
        letter, as `generate` takes them; found wherever they are, also where the enzyme would cut beyond the end. Each
        place is one violation, a palindrome's too.
    left_flank, right_flank : str, default ""
        Letters that are ordered before and behind each design.
    max_repeat : int, optional
        Letters of the longest stretch that may occur twice: directly, where the two may overlap as in runs and tandem
        repeats, or with `both_strands` inverted, as the reverse complement, where they do not overlap: of a palindrome
        the halves count. Each violation is the longest stretch at a position that also occurs before it.
    max_hairpin : int, optional
        Letters of the longest stem of a hairpin: an inverted repeat without mismatches (and without G-U pairs) whose
        loop has 3 or more letters and which, from end to end, has at most 200.
    min_energy : float, optional
        Least folding energy of the construct in kcal/mol at 37 degrees C, by seqfold (``pip install
        "seqdiff[design]"``), which takes a second for 300 letters. It is asked only of what breaks no other rule.
        Letters without T are folded as RNA.
    melting : (low, high), optional
        Melting temperature of the construct in degrees C: Biopython's nearest neighbours at 50 mM Na+ and 25 nM of each
        strand (Allawi and SantaLucia 1997; of RNA Chen et al. 2012), which are meant for some dozens of letters.
    length : int or (low, high), optional
        Letters of the construct.
    vendor : str or path, optional
        ``"twist"``, ``"idt"``, ``"genscript"``, ``"agilent-pool"``, or a JSON file of your own with values of these
        parameters, ``source``, ``date`` and ``note``. Values that are given here replace those of the vendor; `forbid`
        is added to them. Limits change: see `profile`.
    both_strands : bool, default True
        Whether `forbid` and `max_repeat` count on the other strand, too, for DNA and RNA.

    Attributes
    ----------
    profile : dict or None
        What the vendor's file says of itself: its product, source, date and note.

    Raises
    ------
    InputError
        If a value is not allowed.

    Examples
    --------
    >>> rules = DesignRules(gc=(0.3, 0.7), max_homopolymer=4, forbid=["BsaI"], left_flank="GAG")
    >>> rules.passes(["ACGTTGCA", "ACCTTGCA"]).tolist()
    [True, False]
    >>> rules.check(["ACCTTGCA"])[0][0]
    Violation(rule='forbid', reason='BsaI site GAGACC on the reverse strand at 1 to 6, across the left junction', first=1, last=6)
    >>> DesignRules(vendor="twist").length, rules == DesignRules.from_dict(rules.to_dict())
    ((300, 5000), True)
    """  # noqa: E501

    gc: tuple[float, float] | None = None
    gc_window: tuple[int, float, float] | None = None
    max_homopolymer: int | None = None
    forbid: MotifsLike = ()
    left_flank: str = ""
    right_flank: str = ""
    max_repeat: int | None = None
    max_hairpin: int | None = None
    min_energy: float | None = None
    melting: tuple[float, float] | None = None
    length: int | tuple[int, int] | None = None
    vendor: PathLike | None = None
    both_strands: bool = True
    profile: dict[str, Any] | None = field(init=False, default=None, hash=False)

    def __post_init__(self) -> None:
        values = {parameter.name: getattr(self, parameter.name) for parameter in fields(self)}
        values["forbid"] = plain_motifs(self.forbid)
        if self.vendor is not None:
            values["vendor"], limits, values["profile"] = read_profile(self.vendor)
            for name, limit in limits.items():
                if name == "forbid":
                    values[name] = tuple(dict.fromkeys(plain_motifs(limit) + values[name]))
                elif values[name] is getattr(type(self), name):  # the default, so not given
                    values[name] = limit
        for name, value in _checked(values).items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        given = {p.name: getattr(self, p.name) for p in fields(self) if p.init}
        parts = [f"{name}={value!r}" for name, value in given.items() if value != getattr(type(self), name)]
        return f"{type(self).__name__}({', '.join(parts)})"

    def to_dict(self) -> dict[str, Any]:
        """Return all values, those of the vendor among them, as a dict that JSON can hold; `from_dict` reads it."""
        values = {parameter.name: getattr(self, parameter.name) for parameter in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DesignRules:
        """Return the rules that `to_dict` wrote; the vendor's file, which may have changed, is not read again."""
        own = {"vendor": values.get("vendor"), "profile": values.get("profile")}
        rules = cls(**{name: value for name, value in values.items() if name not in own})
        for name, value in own.items():
            object.__setattr__(rules, name, value)
        return rules

    @property
    def active(self) -> list[str]:
        """Return the names of the rules that are set.

        >>> DesignRules(forbid=["BsaI"], gc=(0.3, 0.7)).active
        ['gc', 'forbid']
        """
        others = ("left_flank", "right_flank", "vendor", "both_strands", "profile")
        return [p.name for p in fields(self) if p.name not in others and getattr(self, p.name) not in (None, ())]

    def construct(self, sequence: str) -> str:
        """Return what is ordered for a design: it with its flanks, as they were given.

        >>> DesignRules(left_flank="GG", right_flank="CC").construct("ATA")
        'GGATACC'
        """
        return self.left_flank + sequence + self.right_flank

    def forbidden(self, alphabet: AlphabetLike) -> list[str | int] | None:
        """Return what a generator of this alphabet can avoid while it samples, as ``generate(forbid=...)`` takes it.

        These are the motifs, which `generate` reads on both strands, and runs of a letter more than `max_homopolymer`;
        None where there are neither. A site that a flank completes can only be found by `check`.

        >>> DesignRules(forbid=["BsaI"], max_homopolymer=6).forbidden("dna")
        ['BsaI', 7]
        """
        self._rules(_letters(alphabet, []))
        motifs: list[str | int] = list(plain_motifs(self.forbid))
        if self.max_homopolymer is not None and self.max_homopolymer < LONGEST_RUN:
            motifs.append(self.max_homopolymer + 1)
        return motifs or None

    def check(self, sequences: Iterable[Any], alphabet: AlphabetLike | None = None) -> list[tuple[Violation, ...]]:
        """Return all violations of each design, in order of position.

        Parameters
        ----------
        sequences : iterable of str
            Designs, without flanks.
        alphabet : str or Alphabet, optional
            That of designs and flanks; guessed by the letters where it is None.

        Returns
        -------
        list of tuple of Violation
            One tuple for each design, empty where it breaks no rule.

        Examples
        --------
        >>> [[str(violation) for violation in found] for found in DesignRules(length=(4, 9)).check(["ACG", "ACGT"])]
        [['length 3, below 4'], []]
        """
        n, rules, parts = self._read(sequences, alphabet)
        found: list[tuple[Violation, ...]] = [()] * n
        for rows, constructs in parts:
            lists: list[list[Violation]] = [[] for _ in rows]
            for rule in rules:
                suspects = rule.suspects(constructs)
                if isinstance(rule, Energy):
                    suspects &= [not earlier for earlier in lists]
                for row in np.flatnonzero(suspects):
                    lists[row] += rule.violations(constructs, int(row))
            for row, violations in zip(rows, lists, strict=True):
                found[row] = tuple(sorted(violations, key=_position))
        return found

    def passes(self, sequences: Iterable[Any], alphabet: AlphabetLike | None = None) -> np.ndarray:
        """Return whether each design breaks no rule, (n,) booleans; see `check`, which says why."""
        n, rules, parts = self._read(sequences, alphabet)
        passed = np.ones(n, dtype=bool)
        for rows, constructs in parts:
            for rule in rules:
                suspects = rule.suspects(constructs)
                if not rule.exact:
                    for row in np.flatnonzero(suspects):
                        suspects[row] = next(rule.violations(constructs, int(row)), None) is not None
                passed[rows[suspects]] = False
                rows, constructs = rows[~suspects], constructs.take(np.flatnonzero(~suspects))
        return passed

    @property
    def lengths(self) -> tuple[int, int] | None:
        """The least and the most letters of what is ordered."""
        return (self.length, self.length) if isinstance(self.length, int) else self.length

    def _rules(self, alphabet: Alphabet) -> list[Rule]:
        """Return the rules that are set, the fast ones first; refuse those that the alphabet cannot have."""
        motifs = plain_motifs(self.forbid)
        rules: list[Rule] = []
        if self.lengths is not None:
            rules.append(Length(*self.lengths))
        if self.gc is not None:
            rules.append(GC(*self.gc))
        if self.gc_window is not None:
            rules.append(GCWindow(*self.gc_window))
        if self.max_homopolymer is not None:
            rules.append(Homopolymer(self.max_homopolymer))
        if motifs:
            rules.append(Forbid(Forbidden(motifs, alphabet, self.both_strands)))
        if self.max_repeat is not None:
            rules.append(Repeat(self.max_repeat, self.both_strands))
        if self.max_hairpin is not None:
            rules.append(Hairpin(self.max_hairpin))
        if self.melting is not None:
            rules.append(Melting(*self.melting))
        if self.min_energy is not None:
            rules.append(Energy(self.min_energy))
        for rule in rules:
            if rule.paired and alphabet.complement is None:
                wanted = "DNA or RNA, the only letters that this rule has a meaning for"
                cure = f"leave {argument('vendor') if self.vendor is not None else 'it'} out"
                raise InputError(argument(rule.name), alphabet.described, wanted, cure)
        return rules

    def _read(
        self, sequences: Iterable[Any], alphabet: AlphabetLike | None
    ) -> tuple[int, list[Rule], Iterator[tuple[np.ndarray, Constructs]]]:
        """Return the number of designs, the rules, and the constructs by length with the numbers of their designs."""
        one = isinstance(sequences, str) or is_sequence_object(getattr(sequences, "seq", sequences))
        if one or not isinstance(sequences, Iterable):
            cure = "put it into a list"
            raise InputError(argument("sequences"), of_kind(sequences), "a list of sequences", cure)
        designs = to_strings(list(sequences), _place)
        if not designs:
            raise InputError(argument("sequences"), "an empty list", "at least one sequence", "give some")
        strings = [self.left_flank, self.right_flank, *designs]
        letters = _letters(alphabet, strings)
        flat, lengths = _tokens(strings, letters)
        left, right, flat = np.split(flat, np.cumsum(lengths[:2]))
        return len(designs), self._rules(letters), _parts(flat, lengths[2:], left, right, letters)


def _place(index: int) -> str:
    """Return the name of a design in errors."""
    return f"sequences[{index}]"


def _letters(alphabet: AlphabetLike | None, strings: Sequence[str]) -> Alphabet:
    """Return the alphabet of the characters of strings."""
    resolved = resolve_alphabet("auto" if alphabet is None else alphabet, strings)
    refuse_images(resolved, "rules")
    return characters_of(resolved)


def _tokens(strings: Sequence[str], alphabet: Alphabet) -> tuple[np.ndarray, np.ndarray]:
    """Return all letters of two flanks and n designs in one row, as numbers, and the letters of each, (n + 2,)."""
    places = [argument("left_flank"), argument("right_flank"), *map(_place, range(len(strings) - 2))]
    strings = alphabet.normalize(strings)
    flat, lengths = alphabet.scan(strings)
    rows, columns = unknown(flat, lengths, len(alphabet))
    if len(rows):
        position, letter = alphabet.locate(strings[rows[0]], int(columns[0]))
        found, wanted = alphabet.wrong(letter, position)
        raise InputError(places[rows[0]], found, wanted, "correct it")
    if not lengths[2:].all():
        wanted = "one letter or more"
        raise InputError(places[2 + int(np.argmin(lengths[2:]))], "a sequence without letters", wanted, "leave it out")
    return flat, lengths


def _parts(
    flat: np.ndarray, lengths: np.ndarray, left: np.ndarray, right: np.ndarray, alphabet: Alphabet
) -> Iterator[tuple[np.ndarray, Constructs]]:
    """Yield numbers of designs of one length, and their constructs; as many at a time as the memory is meant for."""
    begins = np.cumsum(lengths) - lengths
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        width = len(left) + length + len(right)
        some = max(1, LETTERS_AT_ONCE // width)
        for part in np.split(rows, range(some, len(rows), some)):
            tokens = np.empty((len(part), width), dtype=alphabet.dtype)
            tokens[:, : len(left)] = left
            tokens[:, len(left) : len(left) + length] = flat[begins[part, None] + np.arange(length)]
            tokens[:, len(left) + length :] = right
            yield part, Constructs(alphabet.decode(tokens), tokens, alphabet, len(left), len(left) + int(length))


def vendors() -> list[str]:
    """Return the names of the vendors whose limits come with the package.

    >>> vendors()
    ['agilent-pool', 'genscript', 'idt', 'twist']
    """
    return sorted(path.stem for path in VENDORS.glob("*.json"))


def read_profile(vendor: PathLike) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return name, limits and origin (product, source, date, note) of a vendor, or of a JSON file of the user's.

    >>> name, limits, origin = read_profile("agilent-pool")
    >>> limits, origin["date"]
    ({'length': [1, 230]}, '2026-11-28')
    """
    wanted = f"{listed(vendors())}, or the path of a JSON file"
    if not isinstance(vendor, (str, os.PathLike)):
        raise InputError(argument("vendor"), shown(vendor), wanted, "give one of these")
    name = os.fspath(vendor)
    path = VENDORS / f"{name}.json" if name in vendors() else Path(name)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        found = f"{shown(name)}, which cannot be read"
        raise InputError(argument("vendor"), found, wanted, "give one of these") from None
    except ValueError:
        raise InputError(name, "no JSON", "a dict as JSON", "correct the file") from None
    limits = {p.name for p in fields(DesignRules)} - {"vendor", "profile"}
    origin = ("product", "source", "date", "note")
    if not isinstance(values, dict):
        raise InputError(name, of_kind(values), "a dict by name", "correct the file")
    if others := [key for key in values if key not in limits and key not in origin]:
        expected = f"one of {listed([*sorted(limits), *origin])}"
        raise InputError(name, f"the key {shown(others[0])}", expected, "correct the file")
    own = {key: value for key, value in values.items() if key in limits}
    try:
        DesignRules(**own)
    except InputError as error:
        raise error.of(name) from None
    return name, own, {key: value for key, value in values.items() if key in origin}


SHARE, NUMBER, COUNT = Real(0, 1), Real(), Whole(1, LONGEST_RUN)
LIMITS: dict[str, tuple[Real, ...]] = {
    "gc": (SHARE, SHARE),
    "gc_window": (Whole(1), SHARE, SHARE),
    "melting": (NUMBER, NUMBER),
    "length": (Whole(1), Whole(1)),
}
"""What each number of a limit that has several may be; the last two are the lowest and the highest value."""


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as plain Python's; refuse the first that is not allowed."""
    for name in ("max_homopolymer", "max_repeat", "max_hairpin"):
        COUNT.check(name, values[name], optional=True)
        values[name] = None if values[name] is None else int(values[name])
    NUMBER.check("min_energy", values["min_energy"], optional=True)
    values["min_energy"] = None if values["min_energy"] is None else float(values["min_energy"])
    Switch().check("both_strands", values["both_strands"])
    values["both_strands"] = bool(values["both_strands"])
    for name in ("left_flank", "right_flank"):
        if not isinstance(values[name], str):
            raise InputError(argument(name), shown(values[name]), "letters", "give a string")
    for name, kinds in LIMITS.items():
        if (value := values[name]) is None:
            continue
        if name == "length" and kinds[0].allows(value):
            values[name] = int(value)
            continue
        numbers = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else ()
        right = len(numbers) == len(kinds) and all(kind.allows(x) for kind, x in zip(kinds, numbers, strict=True))
        if not right or not numbers[-2] <= numbers[-1]:
            what = ("letters, " if len(kinds) > 2 else "") + "the lowest and the highest value"
            scale = ", shares from 0 to 1" if SHARE in kinds else ""
            example = {"gc": (0.3, 0.7), "gc_window": (50, 0.2, 0.8), "melting": (55, 65), "length": (100, 300)}[name]
            raise InputError(argument(name), shown(value), what + scale, f"write {argument(name, example)}")
        values[name] = tuple(int(x) if isinstance(k, Whole) else float(x) for k, x in zip(kinds, numbers, strict=True))
    return values
