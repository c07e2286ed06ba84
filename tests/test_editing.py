"""`infill` and `mutate`: every generator changes only allowed positions; invalid arguments are refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from all_generators import BLINK, GENERATORS, STEPS, X, fitted
from small_models import mixed_lengths, refuses, sequences, tiny

from seqdiff import Autoregressive, MaskedDiffusion, runtime
from seqdiff.guidance import ClassifierFree, LookAhead, Reward

THREE = X[:3]
MASK = "--NN---N--"


def differing(a: str, b: str) -> list[int]:
    assert len(a) == len(b)
    return [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]


# -- every generator --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATORS)
def test_infill_changes_only_masked_positions(name):
    variants = fitted(name).infill(THREE, MASK, n=20, random_state=0, **STEPS)
    assert len(variants) == 60
    for i, variant in enumerate(variants):
        assert set(differing(THREE[i // 20], variant)) <= {2, 3, 7}
    for i in range(3):  # and there it is, indeed
        assert {v[2:4] + v[7] for v in variants[20 * i : 20 * i + 20]} - {THREE[i][2:4] + THREE[i][7]}


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("count", [1, 3])
def test_mutate_changes_exactly_the_requested_number(name, count):
    variants = fitted(name).mutate(THREE, count, n=30, random_state=1, **STEPS)
    changed = [differing(THREE[i // 30], variant) for i, variant in enumerate(variants)]
    assert len(variants) == 90 and {len(places) for places in changed} == {count}
    assert set().union(*changed) == set(range(10))  # anywhere


@pytest.mark.parametrize("name", GENERATORS)
def test_a_seed_repeats_and_the_batch_size_does_not_matter(name, monkeypatch):
    model = fitted(name)

    def edits(seed, n=90):  # several chunks of noise
        settings = {"n": n, "random_state": seed, "steps": 2, "guidance": LookAhead(2)}
        return [model.infill(THREE, MASK, **settings), model.mutate(THREE, 2, **settings)]

    found = edits(3)
    monkeypatch.setattr(runtime, "rows_at_once", lambda device, width=1: 1024)
    again = edits(3)
    alike = [np.mean([a == b for a, b in zip(x, y, strict=True)]) for x, y in zip(found, again, strict=True)]
    assert min(alike) > 0.99  # but for rounding in another batch
    assert edits(4, 5) != edits(5, 5)


# -- what may be given ------------------------------------------------------------------------------------------------


def test_all_forms_of_masks_are_equivalent():
    model = fitted("autoregressive")
    wanted = model.infill(THREE, MASK, n=4, random_state=0)
    booleans = np.array([c != "-" for c in MASK])
    for mask in (
        [2, 3, 7],
        np.array([7, 2, 3]),
        booleans,
        booleans.tolist(),
        np.stack([booleans] * 3),
        [MASK] * 3,
        "--xy---?--",
    ):
        assert model.infill(THREE, mask, n=4, random_state=0) == wanted
    each = np.zeros((3, 10), dtype=bool)
    each[[0, 1, 2], [4, 5, 6]] = True
    for i, variant in enumerate(model.infill(THREE, each, n=20, random_state=0)):
        assert differing(THREE[i // 20], variant) in ([], [4 + i // 20])


def test_all_forms_of_sequences_are_accepted(workdir):
    model = fitted("autoregressive")
    wanted = model.infill(THREE, MASK, n=2, random_state=0)
    Path("three.fasta").write_text("".join(f">{i}\n{s.lower()}\n" for i, s in enumerate(THREE)))
    for given in ("three.fasta", Path("three.fasta"), np.array(THREE), pd.Series(THREE)):
        assert model.infill(given, MASK, n=2, random_state=0) == wanted
    assert model.infill(THREE[0], MASK, n=2, random_state=0) == model.infill([THREE[0]], MASK, n=2, random_state=0)


def test_files_hold_what_is_returned(workdir):
    model = fitted("autoregressive")
    variants = model.mutate(THREE, n=3, out="variants.txt")
    assert Path("variants.txt").read_text().split() == variants and model.made_.tolist() == list(range(9))
    assert model.mutate(THREE, n=3, random_state=model.seed_) == variants


def test_mutate_is_limited_to_positions():
    model = fitted("masked")
    for variant in model.mutate(X[0], 2, n=40, positions=[0, 4, 9], random_state=0):
        assert set(differing(X[0], variant)) <= {0, 4, 9}
    assert {tuple(differing(X[0], v)) for v in model.mutate(X[0], 3, n=5, positions="x---x----x")} == {(0, 4, 9)}


def test_mutated_positions_are_uniform():
    changed = [differing(X[0], v)[0] for v in fitted("distilled").mutate(X[0], n=4000, random_state=0)]
    assert np.abs(np.bincount(changed) / 4000 - 0.1).max() < 0.025


@pytest.mark.parametrize("make", [tiny, lambda: Autoregressive(**BLINK), lambda: MaskedDiffusion(**BLINK)])
def test_sequences_of_several_lengths_are_edited(make):
    model = make().fit(mixed_lengths())
    given = ["ACG", "ACGTACGTAC", "ACGTAC"]
    for i, variant in enumerate(model.mutate(given, 3, n=30, random_state=0)):
        assert len(differing(given[i // 30], variant)) == 3
    masks = ["-N-", "NNN-------", "-----N"]
    for i, variant in enumerate(model.infill(given, masks, n=10, random_state=0)):
        assert set(differing(given[i // 10], variant)) <= {k for k, c in enumerate(masks[i // 10]) if c == "N"}
    refuses(lambda: model.infill(given, [0, 4]), "position 4", "sequences[0]", "3 letters")
    refuses(lambda: model.infill(given, "N" * 10), "10 characters", "sequences[0]", "3 letters")
    refuses(lambda: model.mutate(given, 4), "n_mutations: got 4", "sequences[0] has 3 letters")


def test_multi_character_letters_are_one_position():
    codons = tiny(alphabet="codons").fit([s + s + s[:1] for s in sequences(40, 10)])
    start = "ATGGGGCCCAAATTTACGTAA"
    (variant,) = codons.mutate(start, 1, random_state=0)
    assert len(differing(*[[s[i : i + 3] for i in range(0, 21, 3)] for s in (start, variant)])) == 1
    (variant,) = codons.infill(start, "-NN----", random_state=0)
    assert variant[:3] == "ATG" and variant[9:] == start[9:]


# -- conditions and guides --------------------------------------------------------------------------------------------


def test_a_condition_belongs_to_a_sequence():
    model = MaskedDiffusion(**BLINK | {"epochs": 40, "width": 16, "lr": 1e-2, "ema": 0.9})
    model.fit(["AAAAAA", "CCCCCC"] * 32, ["a", "c"] * 32)
    flat = model.infill(["AAAAAA", "AAAAAA"], "NNNNNN", n=30, y=["a", "c"], random_state=0)
    shares = ["".join(part).count("C") / 180 for part in (flat[:30], flat[30:])]
    assert shares[0] < 0.1 and shares[1] > 0.9
    one = model.mutate("AAAAAC", 1, n=5, y="c", random_state=0)
    assert one == model.mutate("AAAAAC", 1, n=5, y=["c"], random_state=0)
    refuses(lambda: model.infill(["AAAAAA"] * 2, "N-----", y=["a"] * 3), "y: got 3 rows, expected 2;")


@pytest.mark.parametrize("name", ["masked", "autoregressive", "uniform"])
def test_guides_act_on_masked_positions(name):
    model = fitted(name)
    many = Reward(lambda s: [x.count("A") for x in s], strength=20.0, particles=32)
    plain, guided = (
        model.infill("CCCCCCCCCC", "NNNNN-----", n=20, random_state=0, guidance=g, **STEPS) for g in (None, many)
    )
    assert all(s[5:] == "CCCCC" for s in guided)
    assert "".join(guided).count("A") > 1.5 * "".join(plain).count("A")
    variants = model.mutate(THREE, 2, n=5, y="many", guidance=[ClassifierFree(3.0), many], random_state=0, **STEPS)
    assert all(len(differing(THREE[i // 5], v)) == 2 for i, v in enumerate(variants))


def test_lookahead_conditions_on_later_letters():
    model = Autoregressive(**BLINK | {"epochs": 60, "width": 16, "lr": 1e-2, "ema": 0.9})
    model.fit(["AACC", "CCAA"] * 32)
    blind, ahead = (
        model.infill(["CCAA", "AACC"], "NN--", n=50, guidance=g, random_state=0) for g in (LookAhead(1), None)
    )
    fits = [np.mean([s in ("AACC", "CCAA") for s in flat]) for flat in (blind, ahead)]
    assert fits[0] < 0.7 and fits[1] > 0.9
    variants = model.mutate(["CCAA", "AACC"], 2, n=20, guidance=LookAhead(8), random_state=0)
    assert all(len(differing(s, v)) == 2 for s, v in zip(["CCAA"] * 20 + ["AACC"] * 20, variants, strict=True))


# -- forbidden words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["masked", "autoregressive", "multinomial"])
def test_variants_avoid_forbidden_motifs(name):
    model = fitted(name)
    given = ["GACCGGCCGT", "ACCCCCCCCT"]
    variants = model.infill(given, "NN------NN", n=20, forbid=["AA", "CA"], random_state=0, **STEPS)
    assert len(variants) == 40 and not any(re.search("AA|CA|TT|TG", v) for v in variants)
    variants = model.mutate("CCCCCACCCC", 1, n=30, forbid="ACCC", random_state=0, **STEPS)
    assert all("ACCC" not in v and len(differing("CCCCCACCCC", v)) == 1 for v in variants)


def test_forbidden_motifs_in_fixed_letters_are_refused():
    model = fitted("autoregressive")
    good, bad = "CCCCCCCCCC", "CCAGCCCCCC"
    refuses(lambda: model.infill([good, bad], "N---------", forbid="CAGC"), "sequences[1]", "CAGC", "let more change")
    assert len(model.infill([good, bad], "-N-NN-----", forbid="CAGC")) == 2
    refuses(lambda: model.mutate([good, bad], 1, positions=[8, 9], forbid="CAGC"), "sequences[1]", "CAGC")
    refuses(lambda: model.mutate(["CAGCCCCAGC"], 1, forbid="CAGC"), "sequences[0]", "CAGC", "more mutations")
    codons = tiny(alphabet="codons").fit([s + s + s[:1] for s in sequences(40, 10)])
    refuses(lambda: codons.infill("ATGGGGCCCAAATTTACGTAA", "N------", forbid="GCCCA"), "sequences[0]", "GCCCA")


# -- what is wrong ----------------------------------------------------------------------------------------------------

WRONG = [
    ({"sequences": ["ACGT"]}, ["sequences[0]: got 4 letters", "expected 10"]),
    ({"sequences": ["A" * 10, "ACGTNACGTA"]}, ["sequences[1]", "'N' at position 5"]),
    ({"sequences": "ACGTUACGTA"}, ["sequences[0]", "'U'"]),
    ({"sequences": "nowhere.fasta"}, ["nowhere.fasta", "no such file"]),
    ({"sequences": []}, ["sequences: got nothing"]),
    ({"sequences": 5}, ["int"]),
    ({"n": 0}, ["n: got 0"]),
    ({"n": 1.5}, ["n: got 1.5"]),
    ({"steps": 0}, ["steps: got 0"]),
    ({"temperature": 0}, ["temperature: got 0"]),
    ({"random_state": -1}, ["random_state: got -1"]),
    ({"y": "middling"}, ["'middling'"]),
    ({"guidance": "more"}, ["guidance"]),
    ({"forbid": "AXZ"}, ["forbid", "'X'"]),
    ({"out": "new.pdf"}, ["new.pdf"]),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=str)
@pytest.mark.parametrize("call", ["infill", "mutate"])
def test_wrong_arguments_are_refused(call, arguments, words, workdir):
    more = {"mask": MASK} if call == "infill" else {}
    refuses(lambda: getattr(fitted("distilled"), call)(**{"sequences": THREE} | more | arguments), *words)
    assert not list(workdir.iterdir())


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ("-----", ["5 characters", "10 letters"]),
        ("-" * 10, ["no position of sequences[0]"]),
        (["N" * 10, "N" * 10], ["2 strings for 3 sequences"]),
        ([], ["mask: got []"]),
        ([10], ["position 10", "0 to 9"]),
        ([-1], ["position -1"]),
        ([0, 1, 0, 0, 1, 0, 0, 0, 0, 0], ["twice", "booleans"]),
        ([0.5], ["mask: got [0.5]"]),
        ([True] * 9, ["shape (9,)"]),
        ([[True], [False, True]], ["several lengths"]),
        (7, ["mask: got 7"]),
        (None, ["mask: got None"]),
    ],
    ids=str,
)
def test_wrong_masks_are_refused(mask, words):
    refuses(lambda: fitted("distilled").infill(THREE, mask), *words)
    if mask is not None:
        named = [word.replace("mask", "positions") for word in words]
        refuses(lambda: fitted("distilled").mutate(THREE, positions=mask), *named)


@pytest.mark.parametrize("count", [0, 11, 1.0, "1", True, None])
def test_wrong_numbers_of_mutations_are_refused(count):
    refuses(lambda: fitted("distilled").mutate(THREE, count), f"n_mutations: got {count!r}")


def test_too_few_positions_are_refused():
    refuses(lambda: fitted("distilled").mutate(THREE, 3, positions=[1, 2]), "n_mutations: got 3", "2 positions")


@pytest.mark.parametrize("alphabet", ["dna overlapping 3-mers", "words"])
def test_alphabets_with_dependent_letters_are_refused(alphabet):
    texts = [" ".join(s) for s in sequences()] if alphabet == "words" else sequences()
    model = tiny(alphabet=alphabet).fit(texts)
    refuses(lambda: model.mutate(texts[:1]), "one after the other", model.alphabet_.name)
