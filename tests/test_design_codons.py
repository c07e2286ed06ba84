"""Protein to DNA: the code, the rules by a slow checker, kept codons, and the random state of numpy."""

import math
import re
import sys
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dnachisel")
tables = pytest.importorskip("python_codon_tables")

from Bio.Align import PairwiseAligner  # noqa: E402
from Bio.Data import CodonTable as Codes  # noqa: E402

from seqdiff.design import codings, codons, to_dna  # noqa: E402
from seqdiff.errors import InputError  # noqa: E402
from seqdiff.runtime import seeded_numpy  # noqa: E402

AMINO = "ACDEFGHIKLMNPQRSTVWY"
SITES = {"BsaI": "GGTCTC", "NotI": "GCGGCCGC", "EcoRI": "GAATTC", "HinfI": "GANTC"}
CODE = {**Codes.standard_dna_table.forward_table, **dict.fromkeys(Codes.standard_dna_table.stop_codons, "*")}


def random_proteins(seed, n=4, length=60):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(AMINO), size=length)) for _ in range(n)]


def spelled(dna):
    return "".join(CODE[dna[i : i + 3]] for i in range(0, len(dna), 3))


def reverse_complement(dna):
    return dna[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


@dataclass
class Breach:
    reason: str


@dataclass
class SlowRules:
    """Rules that are checked window by window, sites by name."""

    gc: Any = None
    gc_window: Any = None
    max_homopolymer: Any = None
    forbid: Any = ()
    left_flank: str = ""
    right_flank: str = ""
    max_repeat: Any = None
    max_hairpin: Any = None
    both_strands: bool = True

    def check(self, sequences):
        return [tuple(Breach(reason) for reason in self.breaches(s)) for s in sequences]

    def breaches(self, design):
        x = self.left_flank + design + self.right_flank
        start, end = len(self.left_flank), len(self.left_flank) + len(design)

        def windows(k):
            return [(i, x[i : i + k]) for i in range(len(x) - k + 1) if i < end and i + k > start]

        for name in self.forbid:
            site = SITES.get(name, name)
            for strand in {site, reverse_complement(site)} if self.both_strands else {site}:
                for i, window in windows(len(site)):
                    if all(a in ("N", b) for a, b in zip(strand, window, strict=True)):
                        yield f"{name} at {i + 1}"
        if self.max_homopolymer is not None:
            for i, window in windows(self.max_homopolymer + 1):
                if len(set(window)) == 1:
                    yield f"run at {i + 1}"
        share = (x.count("G") + x.count("C")) / len(x)
        if self.gc is not None and not self.gc[0] <= share <= self.gc[1]:
            yield f"GC {share}"
        if self.gc_window is not None:
            w, low, high = self.gc_window
            for i, window in windows(w):
                if not low <= (window.count("G") + window.count("C")) / w <= high:
                    yield f"GC at {i + 1}"
        if self.max_repeat is not None:
            k = self.max_repeat + 1
            every = [x[i : i + k] for i in range(len(x) - k + 1)]
            for i, window in windows(k):
                others = every[:i] + every[i + 1 :]
                if window in others or (self.both_strands and reverse_complement(window) in others):
                    yield f"repeat at {i + 1}"
        if self.max_hairpin is not None:
            k = self.max_hairpin + 1
            for i, window in windows(k):
                if reverse_complement(window) in x[i + k + 3 : i + 200]:
                    yield f"hairpin at {i + 1}"


@pytest.mark.parametrize("organism", ["e_coli", "h_sapiens", 4932, "b_subtilis_1423"])
def test_without_rules_each_codon_is_the_organisms_best(organism):
    proteins = random_proteins(1)
    names = {"e_coli": "e_coli_316407", "h_sapiens": "h_sapiens_9606", 4932: "s_cerevisiae_4932"}
    usage = tables.get_codons_table(names.get(organism, organism))
    for protein, coding in zip(proteins, codings(proteins, organism, stop=True), strict=True):
        assert spelled(coding.dna) == protein + "*" and coding.cai == 1 and coding.reasons == ()
        for i, residue in enumerate(protein):
            assert usage[residue][coding.dna[3 * i : 3 * i + 3]] == max(usage[residue].values())


def test_codon_adaptation_index_is_the_geometric_mean_of_relative_frequencies():
    protein = random_proteins(2, 1, 100)[0]
    rng = np.random.default_rng(3)
    usage = tables.get_codons_table("e_coli_316407")
    random_codons = "".join(rng.choice([c for c, aa in CODE.items() if aa == residue]) for residue in protein)
    coding = codings([protein], keep_codons_of=random_codons)[0]
    counted = [i for i, residue in enumerate(protein) if residue not in "MW"]
    weights = [usage[protein[i]][random_codons[3 * i : 3 * i + 3]] / max(usage[protein[i]].values()) for i in counted]
    assert coding.dna == random_codons
    assert coding.cai == pytest.approx(math.prod(weights) ** (1 / len(weights)))
    ruled = codings([protein], rules=SlowRules(max_homopolymer=3, forbid=["HinfI"], gc=(0.4, 0.55)))[0]
    assert ruled.reasons == () and coding.cai + 0.2 < ruled.cai < 1


RULES = [
    {"forbid": ["BsaI", "NotI", "EcoRI", "HinfI", "CTG"]},
    {"forbid": ["CAG"]},
    {"max_homopolymer": 4},
    {"gc": (0.35, 0.42)},
    {"gc_window": (20, 0.3, 0.65)},
    {"max_repeat": 7},
    {"max_hairpin": 5},
    {
        "forbid": ["BsaI", "HinfI"], "max_homopolymer": 4, "gc": (0.4, 0.5), "max_repeat": 10, "max_hairpin": 8,
        "left_flank": "TTGGTCTCAAAA", "right_flank": "CCCCGAGACCTT",
    },
]  # fmt: skip


@pytest.mark.parametrize("given", RULES, ids=lambda given: "+".join(given))
def test_rules_are_met_where_the_best_codons_break_them(given):
    """The last rules have whole sites in their flanks, which are no breach."""
    proteins, rules = random_proteins(4), SlowRules(**given)
    assert sum(map(len, rules.check(to_dna(proteins)))) > 1
    dna = to_dna(proteins, rules=rules)
    assert [spelled(x) for x in dna] == proteins
    assert not any(rules.check(dna))


def best_by_enumeration(protein, rules):
    """Return the highest index of all DNA of a protein that obeys the rules."""
    synonyms = [[codon for codon, aa in CODE.items() if aa == residue] for residue in protein]
    allowed = ["".join(codons) for codons in product(*synonyms) if not any(rules.breaches("".join(codons)))]
    return max(coding.cai for coding in codings([protein] * len(allowed), keep_codons_of=allowed))


@pytest.mark.parametrize("outside", ["", "GTCTGCAGACGTTACGTAAC"])
@pytest.mark.parametrize("forbid", ["GTCTG", "CAGAC", "GTTAC", "GTAAC"])
def test_sites_that_a_flank_completes_are_avoided_at_the_least_cost(forbid, outside, monkeypatch):
    """AAGT|CTG and CTG|TTAC hold them, on either strand; whole sites in the flanks are no breach."""
    monkeypatch.setattr(codons, "ATTEMPTS", 1)
    rules = SlowRules(forbid=[forbid], left_flank=outside + "AAGT", right_flank="TTAC" + outside)
    assert rules.check(["CTGAAACTG"])[0] and not rules.check(["AAACTGAAA"])[0]
    coding = codings(["LKL"], rules=rules)[0]
    assert spelled(coding.dna) == "LKL" and not any(rules.breaches(coding.dna))
    assert coding.cai == pytest.approx(best_by_enumeration("LKL", rules))
    assert to_dna(["KLK"], rules=rules) == ["AAACTGAAA"]


@pytest.mark.parametrize("given", [{"forbid": ["CTG", "HinfI"]}, {"max_homopolymer": 2}, {"gc": (0.3, 0.4)}])
def test_the_index_is_the_highest_by_enumeration(given, monkeypatch):
    monkeypatch.setattr(codons, "ATTEMPTS", 1)
    rules = SlowRules(**given)
    for protein in ("LSFK", "RIPL", "VGLQ"):
        coding = codings([protein], rules=rules)[0]
        assert coding.cai == pytest.approx(best_by_enumeration(protein, rules)) and coding.reasons == ()


def test_other_starts_help_where_the_first_does_not():
    rules = SlowRules(max_repeat=5)
    assert codings(["KMLHVIPIKYEPKPRHPPKDNATTTAYYNSRRDAGEMTRK"], rules=rules)[0].reasons == ()


def test_lower_case_flanks_and_one_strand():
    rules = SlowRules(forbid=["CAG"], both_strands=False, left_flank="aagt")
    assert to_dna(["LK"], rules=rules) == ["CTGAAA"]


def test_codons_are_kept_where_the_residue_is():
    rng = np.random.default_rng(6)
    protein = random_proteins(5, 1, 40)[0]
    reference = "".join(rng.choice([c for c, aa in CODE.items() if aa == residue]) for residue in protein)
    changed = "".join("A" if i % 5 == 0 else residue for i, residue in enumerate(protein))
    rules = SlowRules(max_homopolymer=5, gc=(0.3, 0.7))
    dna = to_dna([changed], keep_codons_of=reference + "TAG", rules=rules, stop=True)[0]
    assert spelled(dna) == changed + "*" and dna.endswith("TAG")
    for i, (old, new) in enumerate(zip(protein, changed, strict=True)):
        assert old != new or dna[3 * i : 3 * i + 3] == reference[3 * i : 3 * i + 3]
    shorter = protein[:10] + protein[14:30] + "GG" + protein[30:]
    dna = to_dna([shorter], keep_codons_of=[reference.lower()])[0]
    assert dna[:30] == reference[:30] and dna[30:78] == reference[42:90] and dna[84:] == reference[90:]


def test_aligned_codons_are_those_of_the_best_alignment_by_its_score():
    """The kept residues score as Biopython's alignment does, with BLAST's gaps."""
    a, b = "MKWVTFISLLFLFSSAYSRGV", "MKWVTFLLFLFSSSAYRGWV"
    reference = to_dna([a], "h_sapiens")[0]
    kept = [codon is not None for codon in codons.Reference(reference, "reference").kept(b)]
    aligner = PairwiseAligner(scoring="blastp")
    aligner.mode = "global"
    pairs = [
        (i, j)
        for (s, e), (t, _) in zip(*aligner.align(a, b)[0].aligned, strict=True)
        for i, j in zip(range(s, e), range(t, t + e - s), strict=True)
    ]
    assert [j for j, keep in enumerate(kept) if keep] == [j for i, j in pairs if a[i] == b[j]]


def test_kept_codons_stay_even_where_they_break_a_rule():
    rules = SlowRules(forbid=["EcoRI"])
    assert codings(["KEFK"], rules=rules, keep_codons_of="AAGGAATTCAAG")[0][::2] == ("AAGGAATTCAAG", ("EcoRI at 4",))
    message = (
        r"proteins\[1\]: got in the best DNA EcoRI at 4, expected DNA that obeys the rules; relax them or leave keep"
    )
    with pytest.raises(InputError, match=message):
        to_dna(["KEYK", "KEFK"], rules=rules, keep_codons_of="AAGGAATTCAAG")


def test_what_cannot_be_met_is_said_for_each_protein():
    rules = SlowRules(forbid=["GGATG", "AAA"], both_strands=False)
    found = codings(["KLK", "LWML", "KWMK"], rules=rules)
    assert [coding.reasons for coding in found] == [(), ("GGATG at 5",), ("GGATG at 5",)]
    assert [spelled(coding.dna) for coding in found] == ["KLK", "LWML", "KWMK"]
    message = r"^proteins\[1\]: got in the best DNA GGATG at 5 \(and 1 more proteins\), expected DNA that obeys"
    with pytest.raises(InputError, match=message):
        to_dna(["KLK", "LWML", "KWMK"], rules=rules)


def test_start_and_stop():
    assert to_dna(["KV", "MK"], start=True, stop=True) == ["ATGAAAGTGTAA", "ATGAAATAA"]
    assert to_dna(["kv"], stop=True, rules=SlowRules(forbid=["TAA"])) == ["AAAGTGTGA"]


def test_one_seed_one_result_and_the_random_state_of_numpy_is_untouched(capfd):
    proteins = random_proteins(7, 3, 80)
    rules = SlowRules(max_homopolymer=4, forbid=["CTG"], gc=(0.45, 0.5))
    np.random.seed(1)  # noqa: NPY002
    np.random.standard_normal()  # noqa: NPY002 - the state now holds a second number, too
    before = np.random.get_state()  # noqa: NPY002
    dna = to_dna(proteins, rules=rules)
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    np.random.seed(2)  # noqa: NPY002
    assert to_dna(proteins[1:], rules=rules) == dna[1:]
    assert to_dna(proteins, rules=rules, random_state=1) != dna
    generator = np.random.default_rng(0)
    assert to_dna(proteins, rules=rules, random_state=generator) == to_dna(proteins, rules=rules, random_state=0)
    assert capfd.readouterr() == ("", "")


def test_seeded_numpy_is_left_as_it_was_after_an_error():
    with seeded_numpy(2**40 + 3):
        drawn = np.random.random()  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(ZeroDivisionError), seeded_numpy(2**40 + 3):
        assert np.random.random() == drawn and 1 / 0  # noqa: NPY002
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"proteins": []}, "proteins: got an empty list, expected at least one sequence"),
        ({"proteins": "MKV"}, "proteins: got a str, expected a list of sequences; put it into a list"),
        ({"proteins": ["MK", 3]}, r"proteins\[1\]: got 3 \(an int\), expected a string"),
        ({"proteins": ["MK", np.nan]}, r"proteins\[1\]: got a missing sequence"),
        ({"proteins": ["MK", ""]}, r"proteins\[1\]: got a sequence without letters"),
        ({"proteins": ["MKX"]}, r"proteins\[0\]: got 'X' at position 3, expected A, C, D"),
        ({"proteins": ["MK*"]}, r"got '\*' at position 3, expected A.*; leave it out, and give stop=True"),
        (
            {"organism": "e.coli"},
            r"organism: got 'e.coli', expected one of 'b_subtilis' \(1423\), .*'e_coli' \(316407\)",
        ),
        ({"organism": 9999}, "organism: got 9999"),
        ({"keep_codons_of": "ATGAA"}, "keep_codons_of: got 5 letters, expected whole codons"),
        ({"keep_codons_of": "ATGTAAAAA"}, "keep_codons_of: got a stop at codon 2 of 3, expected none but at the end"),
        ({"keep_codons_of": "ATGNNN"}, "keep_codons_of: got 'N' at position 4"),
        ({"keep_codons_of": ""}, "keep_codons_of: got a sequence without letters"),
        ({"keep_codons_of": ["ATG", "ATG"]}, "keep_codons_of: got 2 sequences for 1 proteins"),
        ({"stop": "TAA"}, "stop: got 'TAA', expected True or False"),
        ({"rules": {"gc": (0.3, 0.7)}}, "rules: got {'gc': .*}, expected DesignRules or None"),
        ({"random_state": "x"}, "random_state: got 'x'"),
    ],
)
def test_refusals_are_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        to_dna(**{"proteins": ["MK"], **arguments})


def test_missing_libraries_are_named_with_their_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dnachisel", None)
    with pytest.raises(InputError, match=re.escape("rules without it, expected the library dnachisel")):
        to_dna(["LK"], rules=SlowRules(forbid=["CTG"]))
    monkeypatch.setitem(sys.modules, "python_codon_tables", None)
    with pytest.raises(InputError, match=re.escape('pip install "seqdiff[design]"')):
        to_dna(["LK"])
