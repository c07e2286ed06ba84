"""Degenerate libraries: every design is covered, counts equal those of the listed sequences, small sets are optimal."""

from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq

from seqdiff.alphabets import DNA, PROTEIN, RNA
from seqdiff.design import Library, degenerate_library
from seqdiff.design import library as implementation
from seqdiff.errors import InputError

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def spelled(oligo: str) -> set[str]:
    """Return every sequence of an oligo."""
    return set(map("".join, product(*(IUPAC[symbol] for symbol in oligo))))


def proteins(oligo: str) -> set[str]:
    """Return every protein of an oligo, those with a stop codon left out."""
    return {protein for dna in spelled(oligo) if "*" not in (protein := str(Seq(dna).translate()))}


def partitions(items: list) -> list[list[list]]:
    if not items:
        return [[]]
    first, *rest = items
    found = []
    for parts in partitions(rest):
        found.append([[first], *parts])
        found += [parts[:i] + [[first, *parts[i]]] + parts[i + 1 :] for i in range(len(parts))]
    return found


def box(part: list[str]) -> frozenset[str]:
    """Return the sequences of the smallest oligo for some designs; nothing where their lengths differ."""
    if len(set(map(len, part))) > 1:
        return frozenset()
    return frozenset(map("".join, product(*map(set, zip(*part, strict=True)))))


def fewest(designs: list[str], box=box) -> dict[int, int]:
    """Return the fewest different sequences of m oligos, by m, of all partitions of the designs."""
    known, best = {}, {}
    for parts in partitions(designs):
        boxes = [known.setdefault(tuple(part), box(part)) for part in parts]
        if all(boxes):
            best[len(parts)] = min(best.get(len(parts), 10**9), len(frozenset().union(*boxes)))
    return best


def random_designs(rng: np.random.Generator, n: int, length: int, letters: str) -> list[str]:
    return sorted({"".join(rng.choice(list(letters), length)) for _ in range(n)})


def test_fifty_small_sets_match_exhaustive_search():
    rng = np.random.default_rng(0)
    sizes = [8] * 3 + rng.integers(2, 8, size=47).tolist()
    for n in sizes:
        designs = random_designs(rng, n, int(rng.integers(2, 5)), "ACGT"[: rng.integers(2, 5)])
        best = fewest(designs)
        size = int(rng.integers(1, len(designs) + 1))
        library = degenerate_library(designs, size=size, alphabet="dna")
        assert library.exact
        assert library.variants == min(best[m] for m in best if m <= size)
        assert len(library.oligos) == min(m for m in best if m <= size and best[m] == library.variants)
        most = int(rng.integers(len(designs), 3 * len(designs)))
        library = degenerate_library(designs, max_variants=most, alphabet="dna")
        assert library.exact
        assert len(library.oligos) == min(m for m in best if best[m] <= most)
        assert library.variants == best[len(library.oligos)]


def test_sets_of_several_lengths_match_exhaustive_search():
    rng = np.random.default_rng(1)
    for _ in range(3):
        designs = random_designs(rng, 3, 2, "ACG") + random_designs(rng, 4, 3, "ACG")
        best = fewest(designs)
        for size in range(2, len(designs) + 1):
            library = degenerate_library(designs, size=size, alphabet="dna")
            assert library.exact and library.variants == min(best[m] for m in best if m <= size)
            assert set(library.expand()) == set().union(*map(spelled, library.oligos))


@lru_cache
def degenerate_codons() -> list[tuple[set[str], int, int]]:
    """Return the residues, the number of stop codons and of all codons of each codon of IUPAC symbols."""
    table, found = CodonTable.standard_dna_table.forward_table, []
    for symbols in product(IUPAC, repeat=3):
        residues = [table.get(codon, "*") for codon in spelled("".join(symbols))]
        found.append((set(residues) - {"*"}, residues.count("*"), len(residues)))
    return found


def best_codon(wanted: set[str]) -> tuple[int, bool, int]:
    """Return the number of residues of the best codon for wanted ones, whether it has stops, and its codons."""
    rows = [(len(residues), stops > 0, n) for residues, stops, n in degenerate_codons() if wanted <= residues]
    return min(rows)


def test_codons_spell_the_wanted_residues_with_the_fewest_others():
    rng = np.random.default_rng(2)
    sets = [set(RESIDUES), {"M"}, {"E", "S"}, {"A", "R", "S"}]  # the last has a shorter codon with a stop
    sets += [set(rng.choice(list(RESIDUES), size=k, replace=False).tolist()) for k in (2, 3, 4, 7)]
    for residues in sets:
        library = degenerate_library(sorted(residues), size=1, alphabet=PROTEIN)
        (oligo,) = library.oligos
        stops = sum("*" in str(Seq(codon).translate()) for codon in spelled(oligo))
        assert (len(proteins(oligo)), stops > 0, len(spelled(oligo))) == best_codon(residues)
        assert residues <= proteins(oligo) == set(library.expand())
        assert (library.wanted, library.variants) == (len(residues), len(proteins(oligo)))
        assert library.dna_variants == len(spelled(oligo))
        assert library.table["stops"].item() == pytest.approx(stops / library.dna_variants)
    assert degenerate_library(sorted(RESIDUES), size=1, alphabet=PROTEIN).oligos == ("NNK",)


def test_small_sets_of_proteins_match_exhaustive_search():
    rng = np.random.default_rng(3)
    for n in (3, 4, 5, 5, 6):
        designs = random_designs(rng, n, 2, "DEKNRSW")
        codons = {}

        def protein_box(part, codons=codons):
            sets = [frozenset(column) for column in zip(*part, strict=True)]
            for residues in sets:
                if residues not in codons:
                    (oligo,) = degenerate_library(sorted(residues), size=1, alphabet=PROTEIN).oligos
                    codons[residues] = proteins(oligo)
            return frozenset(map("".join, product(*(codons[residues] for residues in sets))))

        best = fewest(designs, protein_box)
        for size in range(1, len(designs) + 1):
            library = degenerate_library(designs, size=size, alphabet="protein")
            assert library.exact and library.variants == min(best[m] for m in best if m <= size)
            listed = set().union(*map(proteins, library.oligos))
            assert set(designs) <= listed == set(library.expand()) and library.variants == len(listed)
            assert library.dna_variants == len(set().union(*map(spelled, library.oligos)))


@pytest.mark.parametrize("count", [2, 9, 20, 60])
def test_a_sequence_of_several_oligos_counts_once(count):
    # all the ways of counting: boxes that meet no other, inclusion and exclusion, and splitting
    rng = np.random.default_rng(count)
    overlaps = 0
    for length in (3, 5, 7):
        oligos = ["".join(rng.choice(list("ACGTRYSWKMN"), length)) for _ in range(count)]
        library = Library(tuple(oligos), ("A" * length,), DNA, False)
        assert library.variants == len(set().union(*map(spelled, oligos))) == len(library.expand())
        overlaps += library.table["variants"].sum() > library.variants
    assert overlaps


def test_many_boxes_of_many_sequences_are_counted_exactly():
    rng = np.random.default_rng(9)
    for letters, length in (("ACMM", 12), ("ASSN", 8)):  # S: two letters that no box tells apart
        oligos = ["".join(rng.choice(list(letters), length)) for _ in range(100)]
        library = Library(tuple(oligos), ("A" * length,), DNA, False)
        assert library.variants == len(set().union(*map(spelled, oligos)))
    assert Library(("ACN", "ACN", "CCN") * 40, ("ACA",), DNA, False).variants == 8
    assert Library(("N", "A", "C"), ("A",), DNA, False).variants == 4


def test_boxes_of_many_positions_are_counted_exactly():
    apart = Library(("N" * 100 + "A", "N" * 100 + "C", "R" * 100 + "A"), (), DNA, False)
    assert apart.variants == 2 * 4**100
    overlapping = Library(("N" * 60 + "A" * 60, "A" * 60 + "N" * 60), (), DNA, False)
    assert overlapping.variants == 2 * 4**60 - 1


def test_large_sets_are_covered_and_counted():
    rng = np.random.default_rng(4)
    natural = rng.choice(list("ACGT"), 12)
    designs = {"".join(np.where(rng.random(12) < 0.15, rng.choice(list("ACGT"), 12), natural)) for _ in range(30)}
    library = degenerate_library(sorted(designs), size=6)
    listed = set().union(*map(spelled, library.oligos))
    assert len(library.oligos) <= 6 and designs <= listed and library.variants == len(listed)
    assert library.unwanted == len(listed - designs)
    for oligo, row in zip(library.oligos, library.table.to_dict("records"), strict=True):
        assert row["variants"] == len(spelled(oligo)) and row["wanted"] == len(designs & spelled(oligo))
        assert row["unwanted"] == len(spelled(oligo) - designs)
    limited = degenerate_library(sorted(designs), max_variants=60)
    assert limited.variants <= 60 and designs <= set(limited.expand())
    more = degenerate_library(sorted(designs), size=len(limited.oligos))
    assert more.variants <= 60


def divide(designs: list[str], alphabet=DNA) -> implementation._Division:
    return implementation._Division(implementation._sets(designs, alphabet), implementation._symbols_of(alphabet))


def test_the_search_needs_no_good_start(monkeypatch):
    rng = np.random.default_rng(10)

    def bad_start(self, size, rng, rounds):
        everything = [[i] for i in range(len(self.designs))]
        return [*everything[: size - 1], sum(everything[size - 1 :], [])]

    monkeypatch.setattr(implementation._Division, "divided", bad_start)
    monkeypatch.setattr(implementation._Division, "merges", lambda self, parts: iter(()))
    for _ in range(8):
        designs = random_designs(rng, 6, 3, "ACG")
        best = fewest(designs)
        for size in range(1, len(designs) + 1):
            library = degenerate_library(designs, size=size, alphabet="dna")
            assert library.exact and library.variants == min(best[m] for m in best if m <= size)
            limited = degenerate_library(designs, max_variants=library.variants, alphabet="dna")
            assert limited.exact and len(limited.oligos) == min(m for m in best if best[m] <= library.variants)


def test_codons_that_are_no_subsets_are_searched():
    # the best codon for K and L spells I too, that for K, L and M does not: MV, which the oligo of MM and RV spells,
    # belongs to KV and LV
    designs = ["MM", "RV", "RM", "MV", "KV", "LV"]
    division = divide(designs, PROTEIN)
    parts, proven = division.searched(2, (10**6, 10**6))
    assert proven and division.cost(parts) == (6, 2)
    assert [designs.index("MV")] not in parts and len(degenerate_library(designs, size=2).expand()) == 6


def test_no_move_of_a_single_design_is_left():
    rng = np.random.default_rng(11)
    for _ in range(10):
        designs = random_designs(rng, 12, 4, "ACGT")
        start = [list(range(k, len(designs), 4)) for k in range(4)]
        division = divide(designs)
        parts = division.improved(start, 5)
        total = sum(len(box([designs[i] for i in part])) for part in parts)
        assert sorted(sum(parts, [])) == list(range(len(designs))) and len(parts) <= 5
        assert total < sum(len(box([designs[i] for i in part])) for part in start)
        for i in range(len(designs)):
            without = [[j for j in part if j != i] for part in parts]
            for k in range(len(parts)):
                moved = [part + [i] * (k == other) for other, part in enumerate(without)]
                assert sum(len(box([designs[j] for j in part])) for part in moved if part) >= total


def test_dividing_without_search_is_never_better_and_seldom_worse_than_the_optimum():
    rng, worse = np.random.default_rng(5), 0
    for _ in range(8):
        designs = random_designs(rng, 8, 5, "ACG")
        division = divide(designs)
        found = division.cost(division.divided(3, np.random.default_rng(0), division.rounds))[0]
        optimum = degenerate_library(designs, size=3, alphabet="dna")
        assert optimum.exact and found >= optimum.variants
        worse += found > optimum.variants
    assert worse <= 1


def test_more_oligos_never_have_more_unwanted_sequences():
    designs = random_designs(np.random.default_rng(6), 9, 5, "ACGT")
    unwanted = [degenerate_library(designs, size=size).unwanted for size in range(1, len(designs) + 1)]
    assert unwanted == sorted(unwanted, reverse=True) and unwanted[-1] == 0


def test_a_search_that_is_cut_short_is_not_called_exact(monkeypatch):
    designs = random_designs(np.random.default_rng(7), 8, 5, "ACGT")
    best = degenerate_library(designs, size=3)
    monkeypatch.setattr(implementation, "MOST_STEPS", 3)
    cut = degenerate_library(designs, size=3)
    assert best.exact and not cut.exact and cut.variants >= best.variants
    assert not degenerate_library(designs, max_variants=best.variants).exact


def test_rna_is_spelled_with_u_and_case_and_copies_do_not_matter():
    library = degenerate_library(["acgu", "ACGA", "ACGU"], size=1, alphabet="rna")
    assert library.oligos == ("ACGW",) and library.wanted == 2 and library.alphabet is RNA
    assert library.expand() == ["ACGA", "ACGU"]
    assert degenerate_library(["ACGU", "ACGC"], size=1).oligos == ("ACGY",)


def test_oligos_without_overlap_are_merged_where_that_adds_nothing():
    every = ["".join(letters) for letters in product("AC", "AG", "AT", "A", "GT")]
    library = degenerate_library(every, size=5)  # more designs than are searched
    assert library.oligos == ("MRWAK",) and library.unwanted == 0 and library.exact


def test_descriptions_give_the_counts():
    library = degenerate_library(["MKV", "MRV", "MKA"], size=1)
    assert "1 oligo: 4 different proteins of 4 DNA variants, 3 wanted and 1 unwanted" in repr(library)
    assert "ATGARAGYA" in library._repr_html_() and "unwanted" in library._repr_html_()


@pytest.mark.parametrize(
    ("sequences", "options", "said"),
    [
        (["ACGT"], {}, "size: got no limit, expected this, max_variants or both"),
        (["ACGT"], {"size": 0}, "size: got 0, expected a whole number of at least 1"),
        (["ACGT"], {"max_variants": 2.5}, "max_variants: got 2.5"),
        ([], {"size": 1}, "sequences: got an empty list"),
        ("ACGT", {"size": 1}, "sequences: got one sequence, expected a list"),
        (3, {"size": 1}, "sequences: got an int"),
        (["ACGT", ""], {"size": 1}, r"sequences\[1\]: got an empty sequence"),
        (["ACGT", None], {"size": 1}, r"sequences\[1\]: got a missing sequence"),
        (["ACGT", 5], {"size": 1}, r"sequences\[1\]: got 5 \(an int\)"),
        (["ACGT", "ACNT"], {"size": 1}, r"sequences\[1\]: got 'N' at position 3, expected A, C, G or T"),
        (["ACGT"], {"size": 1, "alphabet": "codons"}, "alphabet: got the codons alphabet"),
        (["AC", "ACG", "A"], {"size": 2}, "size: got 2, expected at least 3, as the designs have 3 lengths"),
        (["AC", "GT"], {"max_variants": 1}, "max_variants: got 1, expected at least 2, the number of different"),
        (["ACGT"], {"size": 1, "random_state": "a"}, "random_state: got 'a', expected a whole number"),
        (["AC", "GT"], {"size": 1, "max_variants": 3}, "got 3, expected at least 4, the fewest that size=1 has"),
    ],
)
def test_bad_input_is_one_sentence(sequences, options, said):
    with pytest.raises(InputError, match=said) as error:
        degenerate_library(sequences, **options)
    assert "\n" not in str(error.value)


def test_what_cannot_be_counted_or_listed_is_refused(monkeypatch):
    with pytest.raises(InputError, match="expand: got 4,194,304 different sequences"):
        Library(("N" * 11,), (), DNA, True).expand()
    monkeypatch.setattr(implementation, "MOST_SPLITS", 2)
    oligos = ["".join(row) for row in np.random.default_rng(8).choice(list("ACMMMM"), (40, 20))]
    with pytest.raises(InputError, match="overlap in too many ways"):
        _ = Library(tuple(oligos), ("A" * 20,), DNA, True).variants
