"""Design rules: against a slow, obvious checker, planted breaches with their reasons, and designs just within."""

from __future__ import annotations

import functools
import json
import sys

import numpy as np
import pytest
from Bio import Restriction
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from Bio.SeqUtils import MeltingTemp

from seqdiff.data import DNA, Alphabet, Forbidden
from seqdiff.design import DesignRules, Violation, read_profile, vendors
from seqdiff.design import rules as module

PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A"}
CODES = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "N": "ACGT", **{x: x for x in "ACGT"}}
CODES |= {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}
SITES = {
    "BsaI": "GGTCTC",
    "EcoRI": "GAATTC",
    "HinfI": "GANTC",
    "SapI": "GCTCTTC",
    "BglI": "GCCNNNNNGGC",
    "AvaI": "CYCGRG",
}


PAIRED = {
    code: next(c for c, x in CODES.items() if x == "".join(sorted(PAIRS[b] for b in CODES[code]))) for code in CODES
}


def reverse_complement(letters: str) -> str:
    return "".join(PAIRED[code] for code in reversed(letters))


# -- the slow, obvious checker ----------------------------------------------------------------------------------------


def slow_check(
    design: str, left: str = "", right: str = "", both_strands: bool = True, rna: bool = False, **limits
) -> list[tuple]:
    """Return rule, first and last letter of all breaches of a design, by plain loops over the letters."""
    s = (left + design + right).upper().replace("U", "T")
    start, stop, L = len(left), len(left) + len(design), len(s)
    found: set[tuple] = set()

    def of_design(first: int, end: int) -> bool:
        return any(start <= at < stop for at in range(first, end))

    def add(rule: str, first: int, end: int) -> None:
        found.add((rule, first + 1, end))

    if "length" in limits and not limits["length"][0] <= L <= limits["length"][1]:
        found.add(("length", None, None))
    if "gc" in limits and not limits["gc"][0] <= sum(x in "GC" for x in s) / L <= limits["gc"][1]:
        found.add(("gc", None, None))
    if "melting" in limits:
        table = MeltingTemp.RNA_NN3 if rna else None
        if not limits["melting"][0] <= MeltingTemp.Tm_NN(s, nn_table=table) <= limits["melting"][1]:
            found.add(("melting", None, None))
    if "gc_window" in limits:
        w, low, high = limits["gc_window"]
        w = min(w, L)
        for side in ("low", "high"):
            open_at = None
            for at in range(L - w + 2):
                bad = False
                if at + w <= L and of_design(at, at + w):
                    share = sum(x in "GC" for x in s[at : at + w]) / w
                    bad = share < low if side == "low" else share > high
                if bad and open_at is None:
                    open_at = at
                if not bad and open_at is not None:
                    add("gc_window", open_at, at - 1 + w)
                    open_at = None
    if "max_homopolymer" in limits:
        at = 0
        while at < L:
            end = at
            while end < L and s[end] == s[at]:
                end += 1
            if end - at > limits["max_homopolymer"] and of_design(at, end):
                add("max_homopolymer", at, end)
            at = end
    for motif in limits.get("forbid", ()):
        if isinstance(motif, int):
            for one in "ACGT":
                found |= {("forbid", a, b) for _, a, b in slow_runs(s, one, motif) if of_design(a - 1, b)}
            continue
        site = SITES.get(motif, motif).replace("U", "T")
        for strand in {site, reverse_complement(site)} if both_strands else {site}:
            if len(set(strand)) == 1:
                found |= {
                    ("forbid", a, b) for _, a, b in slow_runs(s, CODES[strand[0]], len(strand)) if of_design(a - 1, b)
                }
                continue
            for at in range(L - len(strand) + 1):
                if all(s[at + i] in CODES[code] for i, code in enumerate(strand)) and of_design(at, at + len(strand)):
                    add("forbid", at, at + len(strand))
    if "max_repeat" in limits:
        for inverted in (False, True) if both_strands else (False,):
            before = 0
            for j in range(1, L):
                found_here = []  # length and place of each stretch before j that that at j repeats
                for other in range(j + 1):  # of direct ones the begin, of inverted ones the end
                    n = 0
                    while not inverted and other < j and j + n < L and s[other + n] == s[j + n]:
                        n += 1
                    while inverted and n < other and j + n < L and PAIRS[s[other - 1 - n]] == s[j + n]:
                        n += 1
                    found_here.append((n, -(other - n if inverted else other)))
                n, i = max(found_here)
                if n > limits["max_repeat"] and n > before - 1 and (of_design(-i, n - i) or of_design(j, j + n)):
                    add("max_repeat", j, j + n)
                before = n
    if "max_hairpin" in limits:
        for both in range(2 * L):
            run: list[tuple[int, int]] = []
            for p in range(L + 1):
                q = both - p
                if p < q < L and 4 <= q - p <= 199 and PAIRS[s[p]] == s[q]:
                    run.append((p, q))
                    continue
                if len(run) > limits["max_hairpin"]:
                    arms = (run[0][0], run[-1][0] + 1), (run[-1][1], run[0][1] + 1)
                    if any(of_design(*arm) for arm in arms):
                        add("max_hairpin", arms[0][0], arms[1][1])
                run = []
    return sorted(found, key=lambda breach: (breach[1] or 0, breach[2] or 0, breach[0]))


def slow_runs(s: str, letters: str, least: int) -> list[tuple]:
    """Return first and last letter of the longest stretches, of `least` letters or more, of some letters alone."""
    found, at = [], 0
    while at < len(s):
        end = at
        while end < len(s) and s[end] in letters:
            end += 1
        if end - at >= least:
            found.append(("", at + 1, end))
        at = max(end, at + 1)
    return found


def places(violations) -> list[tuple]:
    return sorted({(v.rule, v.first, v.last) for v in violations}, key=lambda b: (b[1] or 0, b[2] or 0, b[0]))


def random_limits(rng: np.random.Generator) -> dict:
    """Return random limits, so tight that about half of short designs break them."""
    motifs = [*SITES, "ACGT", "RAY", "TTT", "SSSS", "GTNAC", "ACCGGTAACCGGTAACCGGTAACCGGTA", 4, "ACA"]
    low, w = float(rng.choice([0.0, 0.2, 0.3])), int(rng.choice([5, 10, 17, 40, 90]))
    limits = {
        "length": (int(rng.integers(1, 20)), int(rng.integers(40, 70))),
        "gc": (low, low + float(rng.choice([0.4, 0.5]))),
        "gc_window": (w, low, 1 - low),
        "max_homopolymer": int(rng.integers(1, 7)),
        "forbid": [motifs[i] for i in rng.choice(len(motifs), rng.integers(1, 4), replace=False)],
        "max_repeat": int(rng.integers(3, 9)),
        "max_hairpin": int(rng.integers(2, 7)),
        "melting": (20.0, 70.0),
    }
    return {name: limits[name] for name in limits if rng.random() < 0.4}


def agree(settings: int, seed: int) -> None:
    """Compare check and passes with the slow checker, 25 designs for each of so many settings."""
    rng = np.random.default_rng(seed)
    broken = 0
    for _ in range(settings):
        limits, rna, both = random_limits(rng), rng.random() < 0.25, bool(rng.random() < 0.8)
        if rna:  # which enzymes do not cut
            motifs = [m for m in limits.get("forbid", []) if m not in SITES]
            limits["forbid"] = [m if isinstance(m, int) else m.replace("T", "U") for m in motifs]
        weights = rng.dirichlet([4] * 4)

        def draw(n: int, weights=weights, rna=rna) -> str:
            letters = "".join(rng.choice(list("ACGU" if rna else "ACGT"), n, p=weights))
            return letters.lower() if rng.random() < 0.2 else letters

        flanks = [draw(int(rng.choice([0, 0, 2, 13]))) for _ in "lr"]
        if rng.random() < 0.2:
            flanks[1] = flanks[0]
        designs = [draw(int(rng.integers(1, 45))) for _ in range(25)]
        rules = DesignRules(**limits, left_flank=flanks[0], right_flank=flanks[1], both_strands=both)
        checked = rules.check(designs, "rna" if rna else "dna")
        assert rules.passes(designs, "rna" if rna else "dna").tolist() == [not found for found in checked]
        for design, found in zip(designs, checked, strict=True):
            expected = slow_check(design, *flanks, both, rna, **limits)
            assert places(found) == expected, (design, flanks, both, limits)
            assert [v.first or 0 for v in found] == sorted(v.first or 0 for v in found)
            broken += bool(found)
    assert 0.2 < broken / (25 * settings) < 0.95


def test_rules_equal_a_slow_checker():
    agree(40, 0)


@pytest.mark.slow
def test_rules_equal_a_slow_checker_on_many_designs():
    agree(400, 1)


# -- planted breaches, each with its rule, position and reason --------------------------------------------------------


def random_letters(rng: np.random.Generator, n: int, without: tuple[str, ...] = ()) -> str:
    """Return random letters that hold none of some strings."""
    while True:
        letters = "".join(rng.choice(list("ACGT"), n))
        if not any(motif in letters for motif in without):
            return letters


def concrete(rng: np.random.Generator, site: str) -> str:
    """Return letters that the symbols of a site may be."""
    return "".join(rng.choice(list(CODES[code])) for code in site)


def planted_sites():
    """Yield sites of six enzymes on both strands: at both ends, in the middle, and at each place across a junction."""
    rng = np.random.default_rng(0)
    for enzyme, site in SITES.items():
        rules = DesignRules(forbid=enzyme, left_flank="CATTTATAAATCAA", right_flank="TTGATTTATAATAC")
        m = len(site)
        for strand in {reverse_complement(site): " on the reverse strand", site: ""}.items():
            starts = {"start": 14, "middle": 30, "end": 54 - m} | {f"left {i}": 14 - i for i in range(1, m)}
            for place, at in (starts | {f"right {i}": 54 - i for i in range(1, m)}).items():
                while True:
                    construct = rules.left_flank + random_letters(rng, 40) + rules.right_flank
                    letters = concrete(rng, strand[0])
                    left, right = construct[:at] + letters, construct[at + m :]
                    made = left + right
                    flanks = {"left_flank": made[:14], "right_flank": made[54:]}
                    hits = [(v.first, v.last) for v in DesignRules(forbid=enzyme).check([made])[0]]
                    if len(slow_check(made, forbid=[enzyme])) == 1:
                        break
                assert hits == [(at + 1, at + m)]
                crossed = f", across the {place.split()[0]} junction" if place[-1].isdigit() else ""
                reason = f"{enzyme} site {letters}{strand[1]} at {at + 1} to {at + m}{crossed}"
                yield DesignRules(forbid=enzyme, **flanks), made[14:54], ("forbid", reason, at + 1, at + m)


def planted_runs():
    """Yield runs at both ends, in the middle and across each junction."""
    rng = np.random.default_rng(1)
    for letter in "ACGT":
        others = "".join(sorted(set("ACGT") - {letter}))
        for n in (7, 9):
            for place, at in {"start": 10, "middle": 25, "end": 50 - n, "left": 8, "right": 48}.items():
                made = list(random_letters(rng, 60, tuple(x * 4 for x in "ACGT")))
                made[at - 1], made[at + n], made[at : at + n] = others[0], others[1], letter * n
                made = "".join(made)
                crossed = f", across the {place} junction" if place in ("left", "right") else ""
                reason = f"run of {n} {letter} at {at + 1} to {at + n}, more than 6{crossed}"
                rules = DesignRules(max_homopolymer=6, left_flank=made[:10], right_flank=made[50:])
                yield rules, made[10:50], ("max_homopolymer", reason, at + 1, at + n)


def planted_repeats():
    """Yield stretches of twelve letters that occur again, on one strand or the other, also in a flank."""
    rng = np.random.default_rng(2)
    for inverted in (False, True):
        for i, j in ((0, 12), (0, 68), (3, 40), (20, 32), (68, 20), (20, 60), (50, 62), (30, 45), (2, 19), (45, 61)):
            stretch = random_letters(rng, 12, ("AA",))
            again = reverse_complement(stretch) if inverted else stretch
            while True:
                made = list(random_letters(rng, 80))
                made[min(i, j) : min(i, j) + 12], made[max(i, j) : max(i, j) + 12] = stretch, again
                made = "".join(made)
                if [breach[1:] for breach in slow_check(made, max_repeat=11)] == [(max(i, j) + 1, max(i, j) + 12)]:
                    break
            low, high = min(i, j), max(i, j)
            verb = "are the reverse complement of" if inverted else "repeat"
            reason = f"the 12 letters {again} at {high + 1} to {high + 12} {verb} those at {low + 1} to {low + 12}"
            rules = DesignRules(max_repeat=11, left_flank=made[:16], right_flank=made[64:])
            if not (low == 0 and high == 68):  # both in flanks
                yield rules, made[16:64], ("max_repeat", reason, high + 1, high + 12)


def planted_hairpins():
    """Yield stems of ten letters with loops from three letters to the widest that a span of 200 leaves."""
    rng = np.random.default_rng(3)
    for loop in (3, 4, 5, 8, 20, 50, 100, 179, 180):
        for at in (0, 1, 9, 17):
            arm = random_letters(rng, 10)
            while True:
                made = random_letters(rng, at) + arm + random_letters(rng, loop) + reverse_complement(arm)
                made += random_letters(rng, 6)
                longer = loop > 4 and PAIRS[made[at + 10]] == made[at + 9 + loop]
                if not longer and slow_check(made, max_hairpin=9) == [("max_hairpin", at + 1, at + 20 + loop)]:
                    break
            second = f"{at + loop + 11} to {at + loop + 20}"
            reason = f"hairpin with a stem of 10, {arm} at {at + 1} to {at + 10} with {second}, more than 9"
            rules = DesignRules(max_hairpin=9, left_flank=made[: at // 2])
            yield rules, made[at // 2 :], ("max_hairpin", reason, at + 1, at + loop + 20)


def planted_wholes():
    """Yield breaches of GC, GC windows, length, melting temperature and folding energy."""
    rich, poor, even = "GCCGCGGCCG", "ATTATAATTA", "ACGTGCATCG"
    for w, low, high, at in ((10, 0.2, 0.8, 20), (10, 0.2, 0.8, 0), (10, 0.3, 0.7, 40), (8, 0.2, 0.8, 10)):
        for block, side in ((rich, "up to 1"), (poor, "down to 0")):
            made = even * 5
            made = made[:at] + block + made[at + 10 :]
            (_, first, last), *_ = found = slow_check(made, gc_window=(w, low, high))
            assert len(found) == 1 and first <= at + 1 and last >= at + 10
            limit = f"above {high}" if block == rich else f"below {low}"
            reason = f"GC share {side} in windows of {w} letters at {first} to {last}, {limit}"
            yield DesignRules(gc_window=(w, low, high)), made, ("gc_window", reason, first, last)
    yield (
        DesignRules(gc_window=(99, 0.2, 0.5)),
        "GGGA",
        ("gc_window", "GC share up to 0.75 in windows of 4 letters at 1 to 4, above 0.5", 1, 4),
    )
    yield DesignRules(gc=(0.3, 0.7)), rich, ("gc", "GC share 1, above 0.7", None, None)
    yield DesignRules(gc=(0.3, 0.7), left_flank="AAAA"), "ATG", ("gc", "GC share 0.1429, below 0.3", None, None)
    yield DesignRules(length=8), "ACGTA", ("length", "length 5, below 8", None, None)
    yield DesignRules(length=8, right_flank="ACGT"), "ACGTA", ("length", "length 9, above 8", None, None)
    yield DesignRules(length=(3, 8)), "AC", ("length", "length 2, below 3", None, None)
    yield DesignRules(length=(3, 8)), "ACGTACGTA", ("length", "length 9, above 8", None, None)
    degrees = MeltingTemp.Tm_NN("ACGTGCATCGACGTTGCA")
    for low, high, limit in ((60, 70, "below 60"), (10, 40, "above 40")):
        reason = f"melting temperature {degrees:.1f} degrees C, {limit}"
        rules = DesignRules(melting=(low, high), left_flank="ACGTG", right_flank="GCA")
        yield rules, "catcgacgtt", ("melting", reason, None, None)
    reason = "folding energy -3.2 kcal/mol at 37 degrees C, below -2"
    yield DesignRules(min_energy=-2), "GGGGTTTTCCCC", ("min_energy", reason, None, None)


KINDS = [planted_sites, planted_runs, planted_repeats, planted_hairpins, planted_wholes]


@functools.cache
def planted(kind):
    return list(kind())


@pytest.mark.parametrize("kind", KINDS)
def test_planted_breaches_are_found_with_their_reason_and_place(kind):
    for rules, design, expected in planted(kind):
        assert rules.check([design], "dna") == [(Violation(*expected),)], (rules, design)
        assert not rules.passes([design], "dna").any()


def test_there_are_two_hundred_planted_breaches():
    assert sum(len(planted(kind)) for kind in KINDS) >= 200


def test_biopython_misses_sites_that_are_cut_beyond_the_end():
    """The reason why sites are not left to `Restriction.search`."""
    for design, first in (("TTTTTTGGTCTC", 7), ("GAGACCTTTTTT", 1)):
        assert not Restriction.BsaI.search(Seq(design))
        assert [v.first for v in DesignRules(forbid="BsaI").check([design])[0]] == [first]


# -- designs that are just within -------------------------------------------------------------------------------------

FLANKED = {"left_flank": "AAGGTCTCAGAATTC", "right_flank": "TGAGACCTTTTTTTT"}
WITHIN = [
    (DesignRules(forbid="BsaI"), ["GGTCT", "GGTCAC", "GTCTC", "CTCTGG", "GGTCTTC"]),
    (DesignRules(forbid="BsaI", both_strands=False), ["GAGACC", "AGAGACCA"]),
    (DesignRules(forbid="HinfI"), ["GAATT", "GATC", "GAAATC"]),
    (DesignRules(forbid=["BsaI", "EcoRI", 7], **FLANKED), ["ACGTA", "GGTCT", "C", "GAATT"]),  # theirs in the flanks
    (DesignRules(forbid=["ACGTACGTACGT"], left_flank="A"), ["ACGTACGTACG", "A"]),
    (DesignRules(max_homopolymer=6), ["AAAAAA", "AAAAAATTTTTT", "CCCCCCACCCCCC"]),
    (DesignRules(max_homopolymer=6, left_flank="AAA", right_flank="TTTTTTTTT"), ["AAAC", "AAAG", "GC"]),
    (DesignRules(max_repeat=6), ["ACGTTCAACGTTCC", "GATTACAGATTAC", "GCGGCCGC", "GAATTCGAATTA", "AAAAAAA"]),
    (DesignRules(max_repeat=6, both_strands=False), ["AACGTTCAACCGTTGAACGTT"]),
    (DesignRules(max_repeat=6, left_flank="ACGTTCAGC", right_flank="ACGTTCAGC"), ["TTT", "GATTACA"]),
    (DesignRules(max_hairpin=4), ["GGGCCTTTTGGCCG", "GGGGCTTGCCCC", "GGGGTTTTCCCC"]),
    (DesignRules(max_hairpin=4, left_flank="GGGGG", right_flank="CCCCC"), ["TATT", "ATAAG"]),
    (DesignRules(max_hairpin=9), ["GATTACACCA" + "T" * 181 + "TGGTGTAATC"]),
    (DesignRules(gc=(0.25, 0.75)), ["ACGC", "ATGA", "ACGTACGT"]),
    (DesignRules(gc_window=(4, 0.25, 0.75)), ["ACGCACGC", "ATGAATGA"]),
    (DesignRules(gc_window=(4, 0.25, 0.75), left_flank="GGGGG", right_flank="AAAAA"), ["ATCTG", "ATCTGATC"]),
    (DesignRules(gc_window=(9, 0.5, 0.5)), ["ACGT", "AC"]),  # of one that is shorter, all of it
    (DesignRules(length=(4, 5), left_flank="A"), ["ACG", "ACGT"]),
    (DesignRules(length=4), ["ACGT"]),
    (DesignRules(melting=(20, 60)), ["ACGTGCATCGACGTTGCA"]),
    (DesignRules(min_energy=-4), ["GGGGTTTTCCCC"]),
    (DesignRules(min_energy=0), ["AAAAAAAAAAAAT", "ACACACACACACATAC", "ACAT"]),  # which do not fold
    (DesignRules(), ["A"]),
]


@pytest.mark.parametrize(("rules", "designs"), WITHIN)
def test_designs_just_within_the_limits_pass(rules, designs):
    assert rules.check(designs, "dna") == [()] * len(designs)
    assert rules.passes(designs, "dna").all()


def test_two_hundred_good_designs_pass():
    """They obey all rules at once by the slow checker."""
    rng = np.random.default_rng(4)
    limits = {"gc": (0.3, 0.7), "gc_window": (20, 0.15, 0.85), "max_homopolymer": 5, "forbid": [*SITES, 6]}
    limits |= {"max_repeat": 8, "max_hairpin": 7, "length": (48, 48), "melting": (55, 85)}
    flanks = {"left_flank": "ATGGTCTCA", "right_flank": "TGAGACCAT"}
    good: list[str] = []
    while len(good) < 200:
        design = random_letters(rng, 30)
        good += [design] if not slow_check(design, *flanks.values(), **limits) else []
    rules = DesignRules(**limits, **flanks)
    assert rules.passes(good).all() and not any(rules.check(good))


# -- what counts as one violation -------------------------------------------------------------------------------------


def found(design: str, **limits) -> list[str]:
    return [str(violation) for violation in DesignRules(**limits).check([design], "dna")[0]]


def test_places_are_listed_once_and_in_order():
    assert found("gaattcgaattc", forbid="EcoRI") == ["EcoRI site GAATTC at 1 to 6", "EcoRI site GAATTC at 7 to 12"]
    assert found("ACACAC", forbid="ACAC") == ["motif ACAC as ACAC at 1 to 4", "motif ACAC as ACAC at 3 to 6"]
    assert found("CAAAAAC", forbid=4) == ["motif AAAA as AAAAA at 2 to 6"]
    assert found("GTTTTTC", forbid="AAAA") == ["motif AAAA as TTTTT on the reverse strand at 2 to 6"]
    every = found("GAATTCAAAAAAAGGTCTC", forbid=["BsaI", "EcoRI"], max_homopolymer=6, length=5, gc=(0.5, 1))
    starts = ["length 19", "GC share 0.3158", "EcoRI site", "run of 7 A at 7 to 13", "BsaI site"]
    assert len(every) == 5 and all(text.startswith(start) for text, start in zip(every, starts, strict=True))


def test_runs_and_motifs_span_a_short_design():
    both = {"left_flank": "CAAA", "right_flank": "AAAG"}
    assert found("A", max_homopolymer=6, **both) == ["run of 7 A at 2 to 8, more than 6, across both junctions"]
    flanks = {"left_flank": "GGT", "right_flank": "TC"}
    assert found("C", forbid="BsaI", **flanks) == ["BsaI site GGTCTC at 1 to 6, across both junctions"]


def test_a_run_is_one_repeat():
    assert found("CAAAAAAAAG", max_repeat=4) == ["the 7 letters AAAAAAA at 3 to 9 repeat those at 2 to 8"]


def test_long_repeats_are_found():
    """Windows of more letters than one 64-bit number holds."""
    rng = np.random.default_rng(5)
    stretch, apart = random_letters(rng, 45), f"A{random_letters(rng, 18)}A"
    for again in (stretch, reverse_complement(stretch)):
        rules = DesignRules(max_repeat=44, max_hairpin=44)
        design = stretch + apart + again
        assert rules.passes([design, design[:-1]], "dna").tolist() == [False, True]
        assert [v.first for v in rules.check([design], "dna")[0] if v.rule == "max_repeat"] == [66]


def test_lengths_may_differ_and_large_sets_are_cut(monkeypatch):
    """The order of the designs is kept, whatever is looked at together."""
    rng = np.random.default_rng(6)
    designs = [random_letters(rng, int(n)) for n in rng.integers(1, 30, 60)]
    rules = DesignRules(forbid=["AC"], max_homopolymer=3, gc=(0.2, 0.8))
    whole, passed = rules.check(designs, "dna"), rules.passes(designs, "dna")
    assert whole == [rules.check([design], "dna")[0] for design in designs]
    monkeypatch.setattr(module, "LETTERS_AT_ONCE", 50)
    assert rules.check(designs, "dna") == whole and rules.passes(designs, "dna").tolist() == passed.tolist()


def test_energy_is_asked_of_good_designs_alone(monkeypatch):
    seqfold = pytest.importorskip("seqfold")
    asked: list[str] = []
    monkeypatch.setattr(seqfold, "dg", lambda text, temp: asked.append(text) or -1.0)
    rules = DesignRules(min_energy=-3, max_homopolymer=3)
    assert [bool(found) for found in rules.check(["AAAA", "ACGT"])] == [True, False]
    assert rules.passes(["AAAA", "ACGT"]).tolist() == [False, True] and asked == ["ACGT", "ACGT"]
    monkeypatch.setitem(sys.modules, "seqfold", None)
    with pytest.raises(ValueError, match=r'min_energy: got no seqfold, .*; pip install "seqdiff\[design\]"$'):
        rules.check(["ACGT"])


# -- alphabets --------------------------------------------------------------------------------------------------------


def test_proteins_and_other_letters_have_some_rules():
    rules = DesignRules(max_homopolymer=3, forbid=["NXT", "RGD"], length=(3, 12), left_flank="mr", right_flank="H")
    reasons = [[str(v) for v in found] for found in rules.check(["GDNWTKKKKV", "WYV"], "protein")]
    assert reasons[0] == [
        "length 13, above 12",
        "motif RGD as RGD at 2 to 4, across the left junction",
        "motif NXT as NWT at 5 to 7",
        "run of 4 K at 8 to 11, more than 3",
    ]
    assert reasons[1] == [] and not DesignRules(forbid="ba").check(["abab"], Alphabet("ab"))[0] == ()
    for limits in (
        {"gc": (0, 1)},
        {"gc_window": (5, 0, 1)},
        {"max_repeat": 4},
        {"max_hairpin": 4},
        {"melting": (0, 9)},
    ):
        name = next(iter(limits))
        with pytest.raises(ValueError, match=f"^{name}: got protein sequences, expected DNA or RNA, .*; leave it out$"):
            DesignRules(**limits).check(["MKV"], "protein")
    with pytest.raises(ValueError, match="got protein sequences, .*; leave vendor out$"):
        DesignRules(vendor="twist").passes(["MKVLWWFY"])


def test_codons_are_judged_by_their_bases():
    rules = DesignRules(forbid="BsaI", gc=(0.2, 0.6))
    assert rules.check(["AAGGTCTCA"], "codons") == rules.check(["AAGGTCTCA"], "dna") != [()]


def test_sequences_may_come_in_many_forms():
    rules = DesignRules(forbid="EcoRI")
    for given in (("gaattc", "ACGT"), np.array(["GAATTC", "ACGT"]), (x for x in ["GAATTC", " ACGT "])):
        assert rules.passes(given).tolist() == [False, True]
    assert not rules.passes([SeqRecord(Seq("GAATTC"))]).any()
    assert DesignRules(forbid=Restriction.EcoRI) == DesignRules(forbid=["EcoRI"]) == DesignRules(forbid="EcoRI")


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "sequences: got an empty list, expected at least one sequence; give some"),
        ("ACGT", "sequences: got a str, expected a list of sequences; put it into a list"),
        (3, "sequences: got an int, expected a list of sequences; put it into a list"),
        (SeqRecord(Seq("ACGT")), "sequences: got a SeqRecord, expected a list of sequences; put it into a list"),
        (["ACGT", 3], r"sequences\[1\]: got 3 \(an int\), expected a string"),
        (["ACGT", float("nan")], r"sequences\[1\]: got a missing sequence \(nan\)"),
        (["ACGT", " "], r"sequences\[1\]: got a sequence without letters"),
        (["ACGT", "ACN"], r"sequences\[1\]: got 'N' at position 3, expected A, C, G or T, as the dna alphabet has"),
    ],
)
def test_designs_that_are_none_are_refused(sequences, message):
    for method in (DesignRules(length=4).check, DesignRules().passes):
        with pytest.raises(ValueError, match=message):
            method(sequences, "dna")


def test_flanks_have_letters_of_the_same_alphabet():
    with pytest.raises(ValueError, match="^right_flank: got 'U' at position 2, expected A, C, G or T"):
        DesignRules(right_flank="AU").check(["ACGT"], "dna")


# -- the value object -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"gc": (30, 70)}, r"gc: got \(30, 70\), expected .* shares from 0 to 1; write gc=\(0.3, 0.7\)"),
        ({"gc": (0.7, 0.3)}, "gc: got"),
        ({"gc": 0.5}, "gc: got 0.5, expected the lowest and the highest value"),
        ({"gc": (0.1, float("nan"))}, "gc: got"),
        ({"gc_window": (0.3, 0.7)}, "gc_window: got .*, expected letters, the lowest and the highest value"),
        ({"gc_window": (0, 0.3, 0.7)}, "gc_window: got"),
        ({"max_homopolymer": 0}, "max_homopolymer: got 0, expected a whole number from 1 to 10000 or None"),
        ({"max_repeat": 2.5}, "max_repeat: got 2.5"),
        ({"max_hairpin": "9"}, "max_hairpin: got '9'"),
        ({"min_energy": float("nan")}, "min_energy: got nan"),
        ({"melting": (60,)}, "melting: got"),
        ({"length": (9, 3)}, "length: got"),
        ({"length": True}, "length: got True"),
        ({"left_flank": None}, "left_flank: got None, expected letters"),
        ({"both_strands": "no"}, "both_strands: got 'no'"),
        ({"forbid": ["BsaI", None]}, "forbid: got None, expected motifs"),
        (
            {"vendor": "twits"},
            "vendor: got 'twits', which cannot be read, expected 'agilent-pool', 'genscript', 'idt' or",
        ),
        ({"vendor": 3}, "vendor: got 3"),
    ],
)
def test_limits_that_are_none_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        DesignRules(**limits)


def test_rules_survive_json(tmp_path):
    """With the values of a vendor whose file has changed since."""
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"max_repeat": 9, "forbid": ["BsaI"], "note": "ours"}))
    every = {
        "gc": np.array([0.2, 0.8]),
        "gc_window": (9, 0.1, np.float64(0.9)),
        "length": np.int64(7),
        "forbid": {"EcoRI", 5},
    }
    for rules in (
        DesignRules(),
        DesignRules(**every),
        DesignRules(vendor=own, forbid="SapI"),
        DesignRules(vendor="idt"),
    ):
        text = json.dumps(rules.to_dict())
        own.write_text('{"max_hairpin": 3}') if rules.vendor == str(own) else None
        again = DesignRules.from_dict(json.loads(text))
        assert again == rules and repr(again) == repr(rules) and json.dumps(again.to_dict()) == text
        assert hash(again) == hash(rules)
        assert eval(repr(rules).replace(f", vendor={rules.vendor!r}", ""), {"DesignRules": DesignRules}).gc == rules.gc
    assert DesignRules(gc=(0.2, 0.8)) != DesignRules(gc=(0.2, 0.7)) and "gc=" not in repr(DesignRules(length=4))


def test_values_given_replace_those_of_a_vendor(tmp_path):
    for name in vendors():
        limits, origin = read_profile(name)[1:]
        assert limits["length"] and origin["source"].startswith("https://")
        assert origin["date"] and "heck the vendor's current limits" in origin["note"]
        rules = DesignRules(vendor=name, length=(1, 99), forbid=["BsaI"])
        assert rules.length == (1, 99) and rules.profile == origin
        assert rules.forbid == (*limits.get("forbid", ()), "BsaI")
        assert rules.max_homopolymer == limits.get("max_homopolymer")
        assert not rules.passes(["ACGT" * 30], "dna").any() and rules.passes(["ACCTGATGCA"], "dna").all()
    own = tmp_path / "own.json"
    for text, message in (("[", "no JSON"), ("[1]", "a list"), ('{"gcc": [0, 1]}', "the key 'gcc'")):
        own.write_text(text)
        with pytest.raises(ValueError, match=f"own.json: got {message}"):
            DesignRules(vendor=own)
    own.write_text('{"gc": [30, 70]}')
    with pytest.raises(ValueError, match=r"own.json: gc: got \[30, 70\]"):
        DesignRules(vendor=own)


def test_what_can_be_avoided_while_sampling_is_found_by_check():
    """Without flanks, `forbid` and runs are exactly what `generate(forbid=...)` excludes."""
    rng = np.random.default_rng(7)
    rules = DesignRules(forbid=["HinfI", "RAY"], max_homopolymer=3, gc=(0, 1))
    excluded = Forbidden(rules.forbidden("dna"), DNA)
    designs = [random_letters(rng, 12) for _ in range(200)]
    passed = rules.passes(designs, "dna").tolist()
    assert passed == [excluded.found(design) is None for design in designs] and 10 < sum(passed) < 190
    assert DesignRules(gc=(0, 1)).forbidden("dna") is None
    with pytest.raises(ValueError, match="forbid: got 'EcoRI'"):
        DesignRules(forbid="EcoRI").forbidden("protein")
