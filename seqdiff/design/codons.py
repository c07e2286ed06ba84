r"""From proteins to DNA that an organism translates well and that obeys the rules of an order.

Of the codons that spell a residue, the one that the organism uses most has weight 1, and another its frequency over
that one's. DNA with codons c_1 ... c_n is judged by its codon adaptation index (Sharp & Li 1987, NAR 15:1281),

    CAI = exp((1/n) sum_i log w(c_i)),        w(c) = f(c) / max {f(c'): c' spells the same residue},

residues of one codon and stops left out. The best codons are taken; where these break a rule, dnachisel (Zulkower &
Rosser 2020, Bioinformatics 36:4508) replaces some and then raises the index again. What counts in the end is
`rules.check`, and that the DNA, translated by Biopython, is the protein.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np

from seqdiff.data import DNA, PROTEIN, Alphabet, AlphabetError, Forbidden
from seqdiff.data.reading import to_strings
from seqdiff.errors import InputError, argument, of_kind, shown
from seqdiff.inputs import SeedLike
from seqdiff.parameters import Seed, Switch
from seqdiff.runtime import seed_of, seeded_numpy

ATTEMPTS = 3
"""Starts of the search, the first from the best codons, the others from random ones."""
EXTENSIONS = (0, 9)
"""Letters beside a breach that may change, too; the next where the former do not help."""
HAIRPIN_WINDOW = 200
"""Letters from end to end of the hairpins that dnachisel avoids."""
LEAST_FREQUENCY = 1e-3
"""Of a codon that does not occur in the organism's table."""
GAP_OPEN, GAP_EXTEND = -12.0, -1.0
"""Scores of the first residue of a gap and of each further one, beside BLOSUM62: those of protein BLAST."""


class Rules(Protocol):
    """What is read of `seqdiff.design.DesignRules`."""

    gc: Any
    gc_window: Any
    max_homopolymer: Any
    forbid: Any
    left_flank: str
    right_flank: str
    max_repeat: Any
    max_hairpin: Any
    both_strands: bool

    def check(self, sequences: list[str]) -> Sequence[Sequence[Any]]:
        """Return the violations of each design, which have a `reason`."""


class Coding(NamedTuple):
    """DNA of a protein.

    Parameters
    ----------
    dna : str
        Without flanks.
    cai : float
        Its codon adaptation index, above 0 to 1.
    reasons : tuple of str
        Why it breaks the rules, as `rules.check` says it; empty where it does not.
    """

    dna: str
    cai: float
    reasons: tuple[str, ...]


class CodonTable:
    """How often an organism uses each codon, by python-codon-tables.

    Parameters
    ----------
    organism : str or int
        A name such as ``"e_coli"`` or ``"e_coli_316407"``, or a taxid.

    Attributes
    ----------
    frequencies : dict of dicts
        Residue -> codon -> its share among the codons of the residue; ``"*"`` has the stops.

    Examples
    --------
    >>> table = CodonTable("e_coli")
    >>> table.best("L"), table.frequencies["*"], round(table.adaptation("CTGTTA"), 2)
    ('CTG', {'TAA': 0.64, 'TAG': 0.07, 'TGA': 0.29}, 0.51)
    """

    def __init__(self, organism: str | int) -> None:
        try:
            import python_codon_tables as tables
        except ImportError:
            wanted, cure = "the library python-codon-tables", 'pip install "seqdiff[design]"'
            raise InputError(argument("organism"), f"{shown(organism)} without it", wanted, cure) from None
        known = {name.rpartition("_")[0]: name for name in sorted(tables.available_codon_tables_names)}
        names = {text: name for short, name in known.items() for text in (short, name, name.rpartition("_")[2])}
        if str(organism) not in names:  # of other taxids, the library would ask a web site
            listing = ", ".join(f"{short!r} ({name.rpartition('_')[2]})" for short, name in known.items())
            raise InputError(argument("organism"), shown(organism), f"one of {listing}", "give a name or a taxid")
        found = tables.get_codons_table(names[str(organism)])
        self.frequencies = {aa: dict(codons) for aa, codons in found.items() if len(aa) == 1}
        self._log_weights: dict[str, float] = {}  # of the codons that count
        for aa, codons in self.frequencies.items():
            if len(codons) > 1 and aa != "*":
                most = max(codons.values())
                self._log_weights |= {c: math.log(max(f, LEAST_FREQUENCY) / most) for c, f in codons.items()}

    def best(self, residue: str) -> str:
        """Return the codon of a residue that is used most."""
        codons = self.frequencies[residue]
        return max(sorted(codons), key=lambda codon: codons[codon])

    def draw(self, residue: str, rng: np.random.Generator) -> str:
        """Return a codon of a residue, as often as the organism uses it."""
        codons = self.frequencies[residue]
        p = np.array([codons[codon] for codon in sorted(codons)])
        return str(rng.choice(sorted(codons), p=p / p.sum()))

    def adaptation(self, dna: str) -> float:
        """Return the codon adaptation index of a coding sequence, above 0 to 1; of residues of one codon alone, 1."""
        weights = [self._log_weights[codon] for codon in codons_of(dna) if codon in self._log_weights]
        return math.exp(sum(weights) / len(weights)) if weights else 1.0


def codons_of(dna: str) -> list[str]:
    """Return the codons of DNA, in upper case."""
    return [dna[i : i + 3].upper() for i in range(0, len(dna), 3)]


def translated(dna: str) -> str:
    """Return the residues that DNA codes for, by the standard genetic code, ``*`` for stops.

    >>> translated("ATGAAATAA")
    'MK*'
    """
    from Bio.Seq import translate

    return str(translate(dna))


def _letters(sequence: str, alphabet: Alphabet, where: str) -> str:
    """Return a sequence of at least one letter in upper case; refuse other letters than those of the alphabet."""
    sequence = alphabet.normalize([sequence])[0]
    try:
        alphabet.encode([sequence])
    except AlphabetError as error:
        found, wanted = alphabet.wrong(error.letter, error.position)
        cure = (
            f"leave it out, and give {argument('stop', True)} for a stop codon" if error.letter == "*" else "correct it"
        )
        raise InputError(where, found, wanted, cure) from None
    if not sequence:
        raise InputError(where, "a sequence without letters", "one letter or more", "leave it out")
    return sequence


class Reference:
    """A coding sequence whose codons are kept.

    Parameters
    ----------
    dna : str
        Whole codons without stops, save a last one.
    where : str
        Its name in errors.

    Examples
    --------
    >>> Reference("ATGAAGCTGTAA", "reference").kept("MKL*")
    ['ATG', 'AAG', 'CTG', 'TAA']
    >>> Reference("ATGAAGCTG", "reference").kept("MKGL")
    ['ATG', 'AAG', None, 'CTG']
    """

    def __init__(self, dna: str, where: str) -> None:
        dna = _letters(dna, DNA, where)
        if len(dna) % 3:
            raise InputError(where, f"{len(dna)} letters", "whole codons, a multiple of 3", "give the coding sequence")
        self.codons = codons_of(dna)
        self.protein = translated(dna)
        if "*" in self.protein[:-1]:
            at = self.protein.index("*") + 1
            cure = "give the coding sequence, in its reading frame"
            raise InputError(where, f"a stop at codon {at} of {len(self.codons)}", "none but at the end", cure)

    def kept(self, residues: str) -> list[str | None]:
        """Return the codon that is kept for each residue, a stop included, or None."""
        own, protein = self.protein.removesuffix("*"), residues.removesuffix("*")
        pairs = zip(range(len(own)), range(len(own)), strict=True)
        kept: list[str | None] = [None] * len(residues)
        for i, j in pairs if len(own) == len(protein) else _aligned(own, protein):
            if own[i] == protein[j]:
                kept[j] = self.codons[i]
        if self.protein != own and protein != residues:
            kept[-1] = self.codons[-1]
        return kept


def _aligned(a: str, b: str) -> Iterator[tuple[int, int]]:
    """Yield the positions of two proteins that the best global alignment puts beside one another."""
    from Bio.Align import PairwiseAligner, substitution_matrices

    if not a or not b:
        return
    aligner = PairwiseAligner(mode="global", open_gap_score=GAP_OPEN, extend_gap_score=GAP_EXTEND)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    for (first, end), (start, _) in zip(*aligner.align(a, b)[0].aligned, strict=True):
        yield from ((int(i), int(start + i - first)) for i in range(first, end))


def _constraints(rules: Rules, start: int, end: int, length: int) -> list[Any]:
    """Return the rules that dnachisel enforces, for DNA [start, end) in a construct of a length."""
    from dnachisel import AvoidHairpins, AvoidPattern, EnforceGCContent, Location, SequencePattern, UniquifyAllKmers

    def windows(k: int) -> Location:
        """Return where windows of k letters have a letter of the DNA."""
        return Location(max(0, start - k + 1), min(length, end + k - 1), 1)

    motifs = Forbidden(() if rules.forbid is None else rules.forbid, DNA, rules.both_strands).patterns
    if rules.max_homopolymer is not None and rules.max_homopolymer < length:
        motifs += Forbidden(rules.max_homopolymer + 1, DNA).patterns
    letters = np.array(DNA.letters)
    expressions = (("".join(f"[{''.join(letters[row])}]" for row in motif), len(motif)) for motif in motifs)
    found = [AvoidPattern(SequencePattern(text, size=m), location=windows(m)) for text, m in expressions]
    if rules.gc is not None:
        found.append(EnforceGCContent(*rules.gc))
    if rules.gc_window is not None:
        window, low, high = rules.gc_window
        window = min(window, length)
        found.append(EnforceGCContent(low, high, window=window, location=windows(window)))
    if rules.max_repeat is not None and rules.max_repeat < length:
        k = rules.max_repeat + 1
        found.append(UniquifyAllKmers(k, location=windows(k), include_reverse_complement=rules.both_strands))
    if rules.max_hairpin is not None:
        found.append(AvoidHairpins(stem_size=rules.max_hairpin + 1, hairpin_window=HAIRPIN_WINDOW))
    return found


class Search:
    """The search for the codons of one protein.

    Parameters
    ----------
    residues : str
        Of the protein; a last ``*`` is a stop.
    kept : list of str or None
        The codon that each residue must have, or None.
    table : CodonTable
    rules : Rules or None
    """

    def __init__(self, residues: str, kept: Sequence[str | None], table: CodonTable, rules: Rules | None) -> None:
        self.residues, self.kept, self.table, self.rules = residues, kept, table, rules

    def result(self, seed: int) -> Coding:
        """Return the first DNA that breaks no rule, or the one that breaks the fewest."""
        dna = "".join(codon or self.table.best(aa) for codon, aa in zip(self.kept, self.residues, strict=True))
        if self.rules is None:
            return self._judged(dna)
        found = [self._judged(dna)]
        for attempt in range(ATTEMPTS):
            if not found[-1].reasons:
                return found[-1]
            own = seed_of(seed, self.residues, *self.kept, attempt)
            if attempt:
                rng = np.random.default_rng(own)
                drawn = (codon or self.table.draw(aa, rng) for codon, aa in zip(self.kept, self.residues, strict=True))
                dna = "".join(drawn)
            found.append(self._judged(self._improved(dna, self.rules, own)))
        return min(found, key=lambda coding: (len(coding.reasons), -coding.cai))

    def _judged(self, dna: str) -> Coding:
        if (spelled := translated(dna)) != self.residues:
            raise AssertionError(f"DNA of {shown(self.residues)} codes for {shown(spelled)}, a defect of seqdiff")
        violations = () if self.rules is None else self.rules.check([dna])[0]
        return Coding(dna, self.table.adaptation(dna), tuple(str(violation.reason) for violation in violations))

    def _improved(self, dna: str, rules: Rules, seed: int) -> str:
        """Return what dnachisel makes of the DNA."""
        try:
            import dnachisel
        except ImportError:
            wanted, cure = "the library dnachisel, which chooses codons by them", 'pip install "seqdiff[design]"'
            raise InputError(argument("rules"), "rules without it", wanted, cure) from None

        left, right = rules.left_flank.upper(), rules.right_flank.upper()
        start, end = len(left), len(left) + len(dna)
        fixed = [(0, start), *self._kept_letters(start), (end, end + len(right))]
        table = {aa: dict(codons) for aa, codons in self.table.frequencies.items()}  # dnachisel writes into it
        with seeded_numpy(seed):
            problem = dnachisel.DnaOptimizationProblem(
                left + dna + right,
                constraints=[
                    dnachisel.EnforceTranslation(location=(start, end, 1), translation=self.residues),
                    *(dnachisel.AvoidChanges(location=place) for place in fixed if place[0] < place[1]),
                    *_constraints(rules, start, end, end + len(right)),
                ],
                objectives=[dnachisel.MaximizeCAI(codon_usage_table=table, location=(start, end, 1))],
                logger=None,
            )
            problem.local_extensions = EXTENSIONS
            for constraint in problem.constraints:
                with contextlib.suppress(dnachisel.NoSolutionError):  # the other rules may still be met
                    problem.resolve_constraint(constraint)
            if problem.all_constraints_pass():
                problem.optimize()
        return problem.sequence[start:end]

    def _kept_letters(self, start: int) -> Iterator[tuple[int, int]]:
        """Yield the letters [first, end) of each stretch of kept codons in the construct."""
        at = start
        for keeps, codons in groupby(self.kept, key=lambda codon: codon is not None):
            first, at = at, at + 3 * len(list(codons))
            if keeps:
                yield first, at


def _place(index: int) -> str:
    return f"{argument('proteins')}[{index}]"


def _strings(given: Iterable[Any], name: str) -> list[str]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        cure = "put it into a list"
        raise InputError(argument(name), of_kind(given), "a list of sequences", cure)
    strings = to_strings(list(given), lambda i: f"{argument(name)}[{i}]")
    if not strings:
        raise InputError(argument(name), "an empty list", "at least one sequence", "give some")
    return strings


def _references(given: str | Iterable[Any] | None, n: int) -> list[Reference | None]:
    """Return the reference of each of n proteins."""
    name = "keep_codons_of"
    if given is None:
        return [None] * n
    if isinstance(given, str):
        return [Reference(given, argument(name))] * n
    strings = _strings(given, name)
    if len(strings) != n:
        found, wanted = f"{len(strings)} sequences for {n} proteins", "one, or one for each protein"
        raise InputError(argument(name), found, wanted, "give this number")
    return [Reference(dna, f"{argument(name)}[{i}]") for i, dna in enumerate(strings)]


def _seed(random_state: SeedLike) -> int:
    Seed().check("random_state", random_state)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    return int(np.random.default_rng(random_state).integers(2**63))


def codings(
    proteins: Iterable[Any],
    organism: str | int = "e_coli",
    *,
    rules: Rules | None = None,
    keep_codons_of: str | Iterable[Any] | None = None,
    stop: bool = False,
    start: bool = False,
    random_state: SeedLike = 0,
) -> list[Coding]:
    """Return DNA of each protein with its codon adaptation index, and the reasons why it breaks the rules, if it does.

    The arguments are those of `to_dna`: proteins, organism, rules, keep_codons_of, stop, start, random_state.

    Examples
    --------
    >>> codings(["MKV"])
    [Coding(dna='ATGAAAGTG', cai=1.0, reasons=())]
    """
    strings = [_letters(string, PROTEIN, _place(i)) for i, string in enumerate(_strings(proteins, "proteins"))]
    if rules is not None and not callable(getattr(rules, "check", None)):
        raise InputError(argument("rules"), shown(rules), "DesignRules or None", "give such rules")
    Switch().check("stop", stop)
    Switch().check("start", start)
    table, references, seed = CodonTable(organism), _references(keep_codons_of, len(strings)), _seed(random_state)
    found = []
    for protein, reference in zip(strings, references, strict=True):
        residues = "M" * bool(start and protein[0] != "M") + protein + "*" * bool(stop)
        kept = [None] * len(residues) if reference is None else reference.kept(residues)
        found.append(Search(residues, kept, table, rules).result(seed))
    return found


def to_dna(
    proteins: Iterable[Any],
    organism: str | int = "e_coli",
    *,
    rules: Rules | None = None,
    keep_codons_of: str | Iterable[Any] | None = None,
    stop: bool = False,
    start: bool = False,
    random_state: SeedLike = 0,
) -> list[str]:
    """Return DNA that codes for each protein, in the codons of an organism and under the rules of an order.

    Parameters
    ----------
    proteins : iterable of str
        Of the twenty amino acids.
    organism : str or int
        A codon table of python-codon-tables: ``"e_coli"``, ``"h_sapiens"``, ``"s_cerevisiae"``, ..., or its taxid.
    rules : DesignRules, optional
        Rules that the DNA between its flanks obeys. dnachisel avoids motifs, runs, repeats and hairpins, and keeps the
        GC content; all rules are checked. None: each codon is the organism's best.
    keep_codons_of : str or iterable of str, optional
        A coding sequence, or one for each protein. Where its residue is that of the protein its codon is kept, even
        where that breaks a rule. Of equal length, they are compared position by position, else aligned (globally, by
        BLOSUM62). It may end with a stop, which is kept as well.
    stop : bool
        Whether to add a stop codon.
    start : bool
        Whether to put ATG before proteins that do not begin with M.
    random_state : int, RandomState, Generator or None
        Seed of the search. With a number, a protein has the same DNA whatever the others are.

    Returns
    -------
    list of str
        In the standard genetic code, without flanks.

    Raises
    ------
    InputError
        If an argument is not as it should be, or if no DNA that obeys the rules is found for a protein: the first is
        named with the reason. `codings` returns the reasons of each instead.

    Examples
    --------
    >>> to_dna(["MKV", "MKL"]), to_dna(["KV"], "s_cerevisiae", start=True, stop=True)
    (['ATGAAAGTG', 'ATGAAACTG'], ['ATGAAAGTTTAA'])
    >>> to_dna(["MKV", "MRL"], keep_codons_of="ATGAAGTTA")
    ['ATGAAGGTG', 'ATGCGCTTA']
    """
    found = codings(
        proteins,
        organism,
        rules=rules,
        keep_codons_of=keep_codons_of,
        stop=stop,
        start=start,
        random_state=random_state,
    )
    broken = [i for i, coding in enumerate(found) if coding.reasons]
    if broken:
        first, *others = found[broken[0]].reasons
        more = f" and {len(others)} more violations" if others else ""
        more += f" (and {len(broken) - 1} more proteins)" if len(broken) > 1 else ""
        kept = "" if keep_codons_of is None else f" or leave {argument('keep_codons_of')} out"
        cure = f"relax them{kept}, or see what codings returns"
        raise InputError(_place(broken[0]), f"in the best DNA {first}{more}", "DNA that obeys the rules", cure)
    return [coding.dna for coding in found]
