"""Degenerate libraries: a few oligos in IUPAC symbols that spell every design, and as little else as can be.

An oligo has a set of letters S_i at each position and spells the sequences of the box B = S_1 x ... x S_L. Of m oligos
these are |B_1 u ... u B_m| different sequences: what several oligos spell counts once. For a set D of designs

    |B_1 u ... u B_m| - |D|        unwanted sequences are minimised over m <= size boxes that hold all designs.

Every set of bases has an IUPAC symbol, so that the best boxes are the smallest around the parts of a partition of D. A
position of a protein is a codon of three symbols, and not every set of residues has one: of all 15^3 it gets the one
that spells the wanted residues with the fewest others, then one without stop codons, then the one of fewest codons.

SwiftLib (Jacobs et al. 2015, PubMed 25539925) chooses codons for a related problem: sets of residues by position, not
whole sequences, and as many codons at a position as needed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from seqdiff.alphabets.alphabet import NUCLEOTIDE_CODES, Alphabet, unknown
from seqdiff.alphabets.alphabets import DNA, AlphabetLike, resolve_alphabet
from seqdiff.data.reading import is_sequence_object, to_strings
from seqdiff.errors import InputError, argument, of_kind
from seqdiff.parameters import Seed, Whole

if TYPE_CHECKING:
    import pandas as pd

Parts = list[list[int]]
"""A partition of designs, by their numbers: an oligo each."""
MOST_SEARCHED = 14
"""Designs of which branch and bound tries all partitions; more are divided by merging and moving."""
MOST_STEPS = 10_000
"""Of branch and bound: some seconds."""
MOST_EXPANDED = 1_000_000
MOST_SPLITS = 5_000
"""Of boxes, in counting their sequences: some seconds."""
FEW, FEWEST = 32, 12
"""Boxes that are compared with one another in counting, and of which all that they share is counted."""
ROUNDS = 100
"""Of taking some oligos apart, where not all partitions are tried; fewer of more than 100 designs."""


def read_designs(
    sequences: Iterable[Any], alphabet: AlphabetLike = "auto", name: str = "sequences", *, codes: bool = False
) -> tuple[list[str], Alphabet]:
    """Return designs as clean strings, and their alphabet: dna, rna or protein.

    Parameters
    ----------
    sequences : iterable of str, or of Biopython's Seq or SeqRecord
    alphabet : str or Alphabet
        See `resolve_alphabet`.
    name : str
        Of the argument, for errors.
    codes : bool
        Whether IUPAC codes of several letters are allowed.

    Raises
    ------
    InputError
        If there are none, or one is empty, no string or has other letters.

    Examples
    --------
    >>> read_designs(["acgt", "GGCC"])
    (['ACGT', 'GGCC'], Alphabet('ACGT', name='dna'))
    """
    where, cure = argument(name), "give such a list"
    if isinstance(sequences, (str, bytes)) or is_sequence_object(sequences) or hasattr(sequences, "seq"):
        raise InputError(where, "one sequence", "a list of sequences", "put it into a list")
    if hasattr(sequences, "columns") or isinstance(sequences, dict) or not hasattr(sequences, "__iter__"):
        raise InputError(where, of_kind(sequences), "a list of sequences", cure)
    items = list(sequences)
    if not items:
        raise InputError(where, "an empty list", "at least one sequence", "give some")

    def place(i: int) -> str:
        return f"{where}[{i}]"

    strings = to_strings(items, place)
    for i, string in enumerate(strings):
        if not string.strip():
            raise InputError(place(i), "an empty sequence", "one letter or more", "fill it in or leave it out")
    known = resolve_alphabet(alphabet, strings)
    if known.name not in ("dna", "rna", "protein"):
        wanted = "dna, rna or protein, which can be synthesised"
        raise InputError(argument("alphabet"), f"the {known.name} alphabet", wanted, "give one of these")
    strings = known.normalize(strings)
    flat, lengths = known.scan(strings)
    for row, column in zip(*unknown(flat, lengths, len(known)), strict=True):
        letter = strings[row][column]
        if not (codes and known.is_ambiguous(letter)):
            raise InputError(place(row), *known.wrong(letter, int(column)), "correct the sequence")
    return strings, known


class _Bases:
    """Symbols of nucleotides: each set of bases has one.

    A set is a whole number with bit k for letter k of the alphabet. The bit behind them stands for positions behind the
    end of a sequence, so that boxes of different lengths have nothing in common.
    """

    closed = True  # whether each set of letters has a symbol that spells no others
    width = 1  # characters of a symbol

    def __init__(self, alphabet: Alphabet) -> None:
        self.end = 1 << len(alphabet)
        codes = {code: alphabet.allowed(code) for code in (*alphabet.letters, *NUCLEOTIDE_CODES)}
        self.spelled = {code: sum(1 << letter for letter in letters) for code, letters in codes.items()}
        self._symbols = {letters: code for code, letters in self.spelled.items()} | {self.end: ""}

    def symbol(self, wanted: int) -> str:
        """Return the symbol for a set of letters, "" behind the end."""
        return self._symbols[wanted]

    def cover(self, wanted: np.ndarray) -> np.ndarray:
        """Return the sets that the symbols for wanted sets spell."""
        return wanted

    def boxes(self, oligos: Iterable[str]) -> np.ndarray:
        """Return the set of letters that each oligo spells at each position, (m, L)."""
        rows = [[self.spelled[row[i : i + self.width]] for i in range(0, len(row), self.width)] for row in oligos]
        longest = max(map(len, rows))
        return np.array([row + [self.end] * (longest - len(row)) for row in rows], dtype=np.int64)


class _Codons(_Bases):
    """Codons of IUPAC symbols, which spell residues by the standard genetic code."""

    closed = False
    width = 3

    def __init__(self, alphabet: Alphabet) -> None:
        from Bio.Data import CodonTable

        self.end = 1 << len(alphabet)
        table: Any = CodonTable.standard_dna_table
        residues = {codon: 1 << alphabet.letters.index(letter) for codon, letter in table.forward_table.items()}
        self.stops: dict[str, float] = {}  # share of stop codons
        known: list[tuple[int, bool, int, str, int]] = []
        for symbols in product((*DNA.letters, *NUCLEOTIDE_CODES), repeat=3):
            codons = ["".join(bases) for bases in product(*(NUCLEOTIDE_CODES.get(s, s) for s in symbols))]
            name, letters = "".join(symbols), 0
            for codon in codons:
                letters |= residues.get(codon, 0)
            self.stops[name] = sum(codon in table.stop_codons for codon in codons) / len(codons)
            known.append((letters.bit_count(), self.stops[name] > 0, len(codons), name, letters))
        known.sort()  # the first that spells the wanted residues is the best
        self._names, self._sets = [row[3] for row in known] + [""], np.array([row[4] for row in known] + [self.end])
        self.spelled = dict(zip(self._names, self._sets.tolist(), strict=True))
        self._best = np.full(2 * self.end, -1, dtype=np.int16)  # number of the codon for a set, found when asked for

    def symbol(self, wanted: int) -> str:
        return self._names[self._numbers(np.array(wanted))]

    def cover(self, wanted: np.ndarray) -> np.ndarray:
        return self._sets[self._numbers(wanted)]

    def stopped(self, oligo: str) -> float:
        """Return the share of an oligo's sequences that hold a stop codon."""
        return 1 - math.prod(1 - self.stops[oligo[i : i + 3]] for i in range(0, len(oligo), 3))

    def _numbers(self, wanted: np.ndarray) -> np.ndarray:
        best = self._best[wanted]
        if (new := best < 0).any():
            for letters in np.unique(wanted[new]):
                self._best[letters] = np.argmax((self._sets & letters) == letters)
            best = self._best[wanted]
        return best


_ONES = np.array([i.bit_count() for i in range(1 << 11)])


def _counts(boxes: np.ndarray) -> np.ndarray:
    """Return the number of letters in each set."""
    return _ONES[boxes & 2047] + _ONES[boxes >> 11]


def _sizes(boxes: np.ndarray) -> list[int]:
    """Return the number of sequences in each box; exact, though it may have a hundred digits."""
    return [math.prod(row) for row in _counts(boxes).tolist()]


def _included(boxes: np.ndarray) -> int:
    """Return the number of different sequences in boxes (m, L) by inclusion and exclusion."""
    shared, signs = boxes[:0], np.zeros(0, dtype=int)
    for box in boxes:  # |A u b| = |A| + |b| - |A n b|
        met = shared & box
        real = met.all(1)
        shared, signs = np.vstack([shared, met[real], box]), np.concatenate([signs, -signs[real], [1]])
    return sum(sign * size for sign, size in zip(signs.tolist(), _sizes(shared), strict=True))


def _union(boxes: np.ndarray) -> int:
    """Return the number of different sequences in boxes (m, L); an InputError where they overlap too much.

    Boxes that meet others are split by the letter at one position after the other, until they are few.
    """
    total, steps, stack = 0, 0, [(1, boxes)]
    while stack:
        times, boxes = stack.pop()
        if (steps := steps + 1) > MOST_SPLITS:
            found = "designs so different that their oligos overlap in too many ways to count what they spell"
            cure = "allow more oligos, or give designs that are more alike"
            raise InputError(argument("sequences"), found, "oligos with fewer unwanted sequences", cure)
        boxes = np.unique(boxes, axis=0)
        if len(boxes) <= FEW:
            boxes = boxes[((boxes[:, None] & ~boxes) == 0).all(-1).sum(1) == 1]  # those inside of no other
            alone = ((boxes[:, None] & boxes) != 0).all(-1).sum(1) == 1
            total += times * sum(_sizes(boxes[alone]))
            boxes = boxes[~alone]
        if len(boxes) <= FEWEST:
            total += times * _included(boxes)
            continue
        # the position where a letter is in the fewest boxes
        everything = np.bitwise_or.reduce(boxes, axis=0)
        position = int((_counts(boxes).sum(0) / _counts(everything)).argmin())
        column, groups = boxes[:, position], Counter[bytes]()
        for k in range(int(everything[position]).bit_length()):
            groups[(column >> k & 1).astype(bool).tobytes()] += 1
        rest = np.delete(boxes, position, axis=1)
        for members, letters in groups.items():
            stack.append((times * letters, rest[np.frombuffer(members, dtype=bool)]))
    return total


def _log_difference(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    """Return log2(2^larger - 2^smaller), -inf where this is not above 0: numbers of sequences overflow floats."""
    share = 1 - np.exp2(smaller - larger)
    return larger + np.log2(share, out=np.full(np.shape(share), -np.inf), where=share > 1e-12)


class _Division:
    """Designs, and ways to divide them among oligos.

    Parameters
    ----------
    designs : ndarray (n, L)
        Sets of one letter.
    symbols : _Bases
    """

    def __init__(self, designs: np.ndarray, symbols: _Bases) -> None:
        self.designs, self.symbols = designs, symbols
        self.rounds = min(ROUNDS, 1 + 100 * ROUNDS // len(designs))
        self.lengths = len(np.unique(designs == symbols.end, axis=0))  # each needs an oligo of its own

    def hulls(self, parts: Parts) -> np.ndarray:
        """Return the wanted letters (m, L) of each part."""
        return np.stack([np.bitwise_or.reduce(self.designs[part], axis=0) for part in parts])

    def cost(self, parts: Parts) -> tuple[int, int]:
        """Return the number of different sequences of the oligos, and of oligos."""
        return _union(self.symbols.cover(self.hulls(parts))), len(parts)

    def bound(self, parts: Parts) -> tuple[int, int]:
        """Return the number of sequences of all oligos, where `cost` counts different ones; and of oligos."""
        return sum(_sizes(self.symbols.cover(self.hulls(parts)))), len(parts)

    def within(self, parts: Parts, most: int) -> bool:
        """Return whether the oligos have at most so many different sequences; False if that cannot be counted."""
        try:
            return self.bound(parts)[0] <= most or self.cost(parts)[0] <= most
        except InputError:
            return False

    def _log_sizes(self, hulls: np.ndarray) -> np.ndarray:
        return np.log2(_counts(self.symbols.cover(hulls))).sum(-1)

    def _mixed(self, hulls: np.ndarray) -> np.ndarray:
        """Return where the parts are of several lengths."""
        return ((hulls & self.symbols.end > 0) & (hulls != self.symbols.end)).any(-1)

    def _growth(self, hulls: np.ndarray, joined: np.ndarray) -> np.ndarray:
        """Return log2 of the sequences that hulls (m, L) gain by becoming others; inf where lengths mix."""
        growth = _log_difference(self._log_sizes(joined), self._log_sizes(hulls))
        return np.where(self._mixed(joined), np.inf, growth)

    def merges(self, parts: Parts) -> Iterator[tuple[Parts, bool]]:
        """Yield the parts after each merger of the two that adds the fewest sequences; and whether it adds none."""
        parts, alive = [list(part) for part in parts], np.ones(len(parts), dtype=bool)
        hulls = self.hulls(parts)
        costs = np.full((len(parts), len(parts)), np.inf)
        sizes = self._log_sizes(hulls)

        def compare(i: int) -> None:
            others = np.flatnonzero(alive & (np.arange(len(parts)) != i))
            joined = hulls[others] | hulls[i]
            both = np.logaddexp2(sizes[others], sizes[i])
            growth = np.where(self._mixed(joined), np.inf, _log_difference(self._log_sizes(joined), both))
            costs[i, others] = costs[others, i] = growth

        for i in range(len(parts)):
            compare(i)
        for _ in range(len(parts) - 1):
            i, j = sorted(divmod(int(costs.argmin()), len(parts)))
            if (cost := costs[i, j]) == np.inf:
                return
            parts[i], alive[j] = parts[i] + parts[j], False
            costs[j] = costs[:, j] = np.inf
            hulls[i] |= hulls[j]
            sizes[i] = self._log_sizes(hulls[i])
            compare(i)
            yield [part for part, there in zip(parts, alive, strict=True) if there], cost == -np.inf

    def merged(self, parts: Parts, size: int) -> Parts:
        """Return at most `size` parts, fewer where merging adds no sequences."""
        for after, free in self.merges(parts):
            if len(parts) <= size and not free:
                break
            parts = after
        return parts

    def improved(self, parts: Parts, size: int) -> Parts:
        """Return at most `size` parts after moves of single designs, as long as the sum of the parts' sizes falls."""
        slots = [list(part) for part in parts] + [[] for _ in range(size - len(parts))]
        gain = np.zeros(len(self.designs))  # log2 of the sequences that go if a design goes
        growth = np.zeros((len(self.designs), len(slots)))  # log2 of those that come if it comes

        def compare(k: int) -> None:
            part = slots[k]
            growth[:, k] = gain[part] = 0.0
            if part:
                hull = self.hulls([part])
                growth[:, k] = self._growth(hull, self.designs | hull)
                growth[part, k] = np.inf
            if len(part) > 1:
                gain[part] = self._growth(self.hulls([[j for j in part if j != i] for i in part]), hull)

        for k in range(len(slots)):
            compare(k)
        while (better := growth.min(1) < gain - 1e-9).any():
            i = int(np.where(better, gain, -1.0).argmax())
            own, other = next(k for k, part in enumerate(slots) if i in part), int(growth[i].argmin())
            slots[own].remove(i)
            slots[other].append(i)
            compare(own)
            compare(other)
        return [part for part in slots if part]

    def divided(self, size: int, rng: np.random.Generator, rounds: int) -> Parts:
        """Return good parts, at most `size`: merged and improved, and again after some are taken apart."""
        best = self.improved(self.merged([[i] for i in range(len(self.designs))], size), size)
        bound = self.bound(best)
        for turn in range(rounds if len(best) > 1 else 0):
            apart = rng.choice(len(best), size=min(len(best), int(rng.integers(2, 5))), replace=False).tolist()
            left = [part for k, part in enumerate(best) if k not in apart]
            loose = rng.permutation([i for k in apart for i in best[k]]).tolist()
            parts = left + [loose[k :: len(apart)] for k in range(len(apart))]  # as good as any; moves come next
            if turn % 2 or self._mixed(self.hulls(parts)).any():
                parts = self.merged(left + [[i] for i in loose], size)
            parts = self.improved(parts, size)
            if (new := self.bound(parts)) <= bound:
                best, bound = parts, new
        return best

    def searched(self, size: int, cost: tuple[int, int]) -> tuple[Parts | None, bool]:
        """Return the best of all partitions into at most `size` parts that cost less; and whether it is proven.

        Branch and bound: designs are given to parts one after the other, those that differ most first. A lower bound
        of the sequences is the union of the hulls so far and the designs that are not in them; the largest box; and,
        where no part can be added, the smallest box that takes a design that is left.
        """
        order = self._spread()
        designs, cover = self.designs[order], self.symbols.cover
        best: Parts | None = None
        steps = 0

        def visit(i: int, parts: Parts, hulls: np.ndarray) -> None:
            nonlocal best, cost, steps
            steps += 1
            if steps > MOST_STEPS:
                return
            if i == len(designs):
                if (new := (_union(cover(hulls)), len(parts))) < cost:
                    best, cost = [[order[j] for j in part] for part in parts], new
                return
            rest = designs[i:]
            joined = rest[:, None] | hulls  # (designs left, parts, L)
            sizes = np.where(self._mixed(joined), np.inf, self._log_sizes(joined))
            if len(parts) == size and sizes.min(1).max() > math.log2(cost[0]) + 1e-9:
                return
            inside = (joined == hulls).all(-1)
            least = max([_union(hulls) + int((~inside.any(1)).sum()), *_sizes(cover(hulls))])
            if (least, len(parts)) >= cost:
                return
            taking = [k for k in np.argsort(sizes[0], kind="stable").tolist() if sizes[0, k] < np.inf]
            if self.symbols.closed and inside[0].any():  # no other part can do better
                taking = [int(inside[0].argmax())]
            for k in taking:
                grown = hulls.copy()
                grown[k] = joined[0, k]
                visit(i + 1, [part + [i] * (j == k) for j, part in enumerate(parts)], grown)
            if len(parts) < size and not (self.symbols.closed and inside[0].any()):
                visit(i + 1, [*parts, [i]], np.vstack([hulls, designs[i]]))

        visit(1, [[0]], designs[:1].copy())
        return best, steps <= MOST_STEPS

    def fewest_sequences(self, size: int, rng: np.random.Generator) -> tuple[Parts, bool]:
        """Return at most `size` parts with the fewest sequences, then the fewest parts; and whether it is proven."""
        if len(self.designs) > MOST_SEARCHED or size == self.lengths:
            parts = self.divided(size, rng, self.rounds)
            return parts, size == self.lengths or self.within(parts, len(self.designs))
        parts = self.divided(size, rng, 0)
        better, proven = self.searched(size, self.cost(parts))
        parts = better or parts
        return parts if proven else min(parts, self.divided(size, rng, self.rounds), key=self.cost), proven

    def fewest_oligos(self, most: int, rng: np.random.Generator) -> tuple[Parts, bool]:
        """Return the fewest parts of at most `most` sequences, then the fewest sequences; and whether it is proven."""
        best: Parts = [[i] for i in range(len(self.designs))]
        for parts, _ in self.merges(best):
            if not self.within(parts, most):
                break
            best = parts
        none_fewer = True
        while len(best) > self.lengths:
            fewer, none_fewer = self._fewer(len(best) - 1, most, rng)
            if fewer is None:
                break
            best = fewer
        parts, proven = self.fewest_sequences(len(best), rng)
        return parts if self.within(parts, most) else best, proven and none_fewer

    def _fewer(self, size: int, most: int, rng: np.random.Generator) -> tuple[Parts | None, bool]:
        """Return at most `size` parts of at most `most` sequences, None if none are found; and whether it is proven."""
        for rounds in (0, self.rounds):
            parts = self.divided(size, rng, rounds)
            if self.within(parts, most):
                return parts, True
            if not rounds and len(self.designs) <= MOST_SEARCHED:
                found, proven = self.searched(size, (most + 1, 0))
                if proven or found:
                    return found, True
        return None, False

    def _spread(self) -> list[int]:
        """Return an order in which each design differs as much as can be from all before it."""
        order, distances = [0], (self.designs != self.designs[0]).sum(1)
        while len(order) < len(self.designs):
            distances[order] = -1
            order.append(int(distances.argmax()))
            distances = np.minimum(distances, (self.designs != self.designs[order[-1]]).sum(1))
        return order


@dataclass(frozen=True, eq=False)
class Library:
    """Oligos that together spell every design; `degenerate_library` makes them.

    Attributes
    ----------
    oligos : tuple of str
        In IUPAC symbols, 5' to 3'; DNA where the designs are proteins.
    designs : tuple of str
        The different designs.
    alphabet : Alphabet
        Of the designs.
    exact : bool
        Whether it is proven that no other division of the designs among as many oligos has fewer different sequences
        and, where `max_variants` alone was given, that fewer oligos have too many.
    variants, wanted, unwanted : int
        Different sequences that the oligos spell; those that are designs; the others. A sequence that several oligos
        spell counts once. Of proteins it is the different whole proteins that count, not what ends at a stop codon.
    dna_variants : int
        Different sequences of nucleotides, those with stop codons among them.
    table : DataFrame
        One row an oligo: `name`, `oligo`, `variants`, `wanted`, `unwanted`; of proteins also `dna_variants` and
        `stops`, the share of these that hold a stop codon. A sequence that several oligos spell is in the row of each.
    """

    oligos: tuple[str, ...]
    designs: tuple[str, ...]
    alphabet: Alphabet
    exact: bool

    @cached_property
    def variants(self) -> int:
        return _union(_symbols_of(self.alphabet).boxes(self.oligos))

    @property
    def wanted(self) -> int:
        return len(self.designs)

    @property
    def unwanted(self) -> int:
        return self.variants - self.wanted

    @cached_property
    def dna_variants(self) -> int:
        return _union(_Bases(_written_in(self.alphabet)).boxes(self.oligos))

    @cached_property
    def table(self) -> pd.DataFrame:
        import pandas as pd

        symbols, digits = _symbols_of(self.alphabet), len(str(len(self.oligos)))
        boxes, designs = symbols.boxes(self.oligos), _sets(self.designs, self.alphabet)
        variants, wanted = _sizes(boxes), [int((designs & ~box == 0).all(1).sum()) for box in boxes]
        columns: dict[str, list[Any]] = {
            "name": [f"oligo_{i:0{digits}}" for i in range(1, len(self.oligos) + 1)],
            "oligo": list(self.oligos),
            "variants": variants,
            "wanted": wanted,
            "unwanted": [n - w for n, w in zip(variants, wanted, strict=True)],
        }
        if isinstance(symbols, _Codons):
            columns["dna_variants"] = _sizes(_Bases(DNA).boxes(self.oligos))
            columns["stops"] = [symbols.stopped(oligo) for oligo in self.oligos]
        return pd.DataFrame(columns)

    def expand(self) -> list[str]:
        """Return all different sequences of the library, of proteins the whole proteins; at most 1,000,000.

        >>> degenerate_library(["AC", "GT"], size=1).expand()
        ['AC', 'AT', 'GC', 'GT']
        """
        if self.variants > MOST_EXPANDED:
            found, wanted = f"{self.variants:,} different sequences", f"at most {MOST_EXPANDED:,}, to be listed"
            raise InputError("expand", found, wanted, "read the table instead, or allow more oligos")
        symbols, letters = _symbols_of(self.alphabet), self.alphabet.letters
        listed: dict[str, None] = {}
        for box in symbols.boxes(self.oligos).tolist():
            sets = [[letter for k, letter in enumerate(letters) if entry >> k & 1] for entry in box]
            listed |= dict.fromkeys(map("".join, product(*(entry for entry in sets if entry))))
        return list(listed)

    def _described(self) -> str:
        protein = self.alphabet.name == "protein"
        what = f"different proteins of {self.dna_variants:,} DNA variants" if protein else "different sequences"
        oligos = f"{len(self.oligos):,} oligo{'s' * (len(self.oligos) != 1)}"
        counts = f"{self.variants:,} {what}, {self.wanted:,} wanted and {self.unwanted:,} unwanted"
        return f"{oligos}: {counts}; {'proven' if self.exact else 'not proven'} to be the best"

    def __repr__(self) -> str:
        return f"Library({self._described()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._described())}</p>{self.table.to_html(index=False, max_rows=60)}"


def _written_in(alphabet: Alphabet) -> Alphabet:
    """Return the alphabet of the oligos for designs of an alphabet."""
    return DNA if alphabet.name == "protein" else alphabet


@lru_cache(maxsize=4)
def _symbols_of(alphabet: Alphabet) -> _Bases:
    return _Codons(alphabet) if alphabet.name == "protein" else _Bases(alphabet)


def _sets(designs: Sequence[str], alphabet: Alphabet) -> np.ndarray:
    """Return the set of the one letter at each position of each design, (n, L)."""
    tokens, lengths = alphabet.encode(designs)
    sets = 1 << tokens.astype(np.int64)
    sets[np.arange(sets.shape[1]) >= lengths[:, None]] = _symbols_of(alphabet).end
    return sets


def degenerate_library(
    sequences: Iterable[Any],
    *,
    size: int | None = None,
    max_variants: int | None = None,
    alphabet: AlphabetLike = "auto",
    random_state: int | np.random.Generator | None = 0,
) -> Library:
    """Return IUPAC-degenerate oligos that spell every design, with as few unwanted sequences as can be.

    Sets of up to a dozen different designs are mostly solved exactly, by branch and bound; `Library.exact` says whether
    the search came to its end. Other sets are divided by merging, moving single designs, and taking oligos apart again:
    1,000 designs of 50 letters take about ten seconds.

    Parameters
    ----------
    sequences : iterable of str, or of Biopython's Seq or SeqRecord
        Designs: DNA, RNA or protein, of any lengths. An oligo spells sequences of one length.
    size : int, optional
        The largest number of oligos: the library with the fewest different sequences is sought, among equals the one
        with the fewest oligos.
    max_variants : int, optional
        The largest number of different sequences: without `size`, the library with the fewest oligos is sought, among
        equals the one with the fewest different sequences. Beside `size` it is a condition.
    alphabet : str or Alphabet
        ``"dna"``, ``"rna"`` or ``"protein"``. A protein's oligos are of degenerate codons (NNK and the like; standard
        genetic code), without a start or stop codon added: at each position the one that spells the wanted residues
        with the fewest others, then without stop codons, then of the fewest codons.
    random_state : int, Generator or None
        Seed of what is taken apart.

    Returns
    -------
    Library

    Raises
    ------
    InputError
        If there are no designs, or other letters; neither limit; or limits that cannot be met, which says what can be.

    Examples
    --------
    >>> library = degenerate_library(["AAC", "AGC", "TTT"], size=2)
    >>> library
    Library(2 oligos: 3 different sequences, 3 wanted and 0 unwanted; proven to be the best)
    >>> library.table[["oligo", "variants", "unwanted"]].to_numpy().tolist()
    [['ARC', 2, 0], ['TTT', 1, 0]]
    >>> degenerate_library(["MKV", "MRV", "MRA"], max_variants=4).oligos
    ('ATGARAGYA',)
    """
    for name, limit in {"size": size, "max_variants": max_variants}.items():
        Whole(1).check(name, limit, optional=True)
    Seed().check("random_state", random_state)
    strings, known = read_designs(sequences, alphabet)
    designs = tuple(dict.fromkeys(strings))
    division, rng = _Division(_sets(designs, known), _symbols_of(known)), np.random.default_rng(random_state)
    if size is not None and size < division.lengths:
        wanted = f"at least {division.lengths}, as the designs have {division.lengths} lengths and an oligo has one"
        raise InputError(argument("size"), str(size), wanted, "allow more oligos")
    if max_variants is not None and max_variants < len(designs):
        wanted = f"at least {len(designs):,}, the number of different designs"
        raise InputError(argument("max_variants"), f"{max_variants:,}", wanted, "raise it, or give fewer designs")
    if size is not None:
        parts, exact = division.fewest_sequences(min(size, len(designs)), rng)
    elif max_variants is not None:
        parts, exact = division.fewest_oligos(max_variants, rng)
    else:
        cure = f"give one, such as {argument('size', 4)} or {argument('max_variants', 1000)}"
        wanted = f"this, {argument('max_variants')} or both"
        raise InputError(argument("size"), "no limit", wanted, cure)
    hulls = division.hulls(sorted(map(sorted, parts)))
    oligos = ("".join(division.symbols.symbol(letters) for letters in row) for row in hulls.tolist())
    library = Library(tuple(oligos), designs, known, exact)
    variants = library.variants  # an error, here and not later, where it cannot be counted
    if max_variants is not None and variants > max_variants:
        most, _ = division.fewest_oligos(max_variants, rng)
        fewest = "fewest" if exact else "fewest found"
        least = f"at least {variants:,}, the {fewest} that {argument('size', size)} has"
        cure = f"raise it, or pass {argument('size', len(most))}"
        raise InputError(argument("max_variants"), f"{max_variants:,}", least, cure)
    return library
