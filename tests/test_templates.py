"""Templates: samples of every generator satisfy them; impossible templates are refused."""

from __future__ import annotations

import numpy as np
import pytest
from all_generators import GENERATORS, fitted
from small_models import sequences, tiny

from seqdiff.data import DNA, PROTEIN, Alphabet, LengthDistribution, parse_template

CODES = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT",
         "V": "ACG", "N": "ACGT", "A": "A", "C": "C", "G": "G", "T": "T"}  # fmt: skip
LAW = LengthDistribution.fit([10])


def random_template(rng: np.random.Generator, length: int = 10) -> tuple[str | list[str | None], list[str]]:
    """Return a template, written in one of the ways there are, and the letters it allows at each position."""
    symbols, allowed = [], []
    for _ in range(length):
        if rng.random() < 0.3:
            letters = "".join(rng.permutation(list("ACGT"))[: rng.integers(1, 5)])
            symbols.append(f"[{letters}]")
        else:
            code = str(rng.choice(list(CODES)))
            letters = CODES[code]
            symbols.append(code if rng.random() < 0.8 else code.lower())
        allowed.append(letters)
    if rng.random() < 0.3:
        return [None if len(letters) == 4 else letters for letters in allowed], allowed
    return "".join(symbols), allowed


def satisfied(sample: str, allowed: list[str]) -> bool:
    return len(sample) == len(allowed) and all(
        letter in letters for letter, letters in zip(sample, allowed, strict=True)
    )


def check(name: str, count: int, seed: int) -> None:
    rng, model = np.random.default_rng(seed), fitted(name)
    for i in range(count):
        template, allowed = random_template(rng)
        samples = model.generate(4, template=template, steps=int(rng.integers(1, 6)), random_state=i)
        assert all(satisfied(sample, allowed) for sample in samples), (template, samples)


@pytest.mark.parametrize("name", GENERATORS)
def test_random_templates_are_satisfied(name):
    check(name, 12, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_ten_thousand_random_templates_are_satisfied(name):
    check(name, 10_000 // len(GENERATORS), 1)


def test_sets_of_amino_acids():
    model = tiny(alphabet="protein").fit(sequences(letters="ACDEFGHIKLMNPQRSTVWY"))
    samples = model.generate(100, template="[AVI]XXGKT[bM]X[L]W", random_state=0)
    assert {s[0] for s in samples} == set("AVI") and {s[6] for s in samples} == set("DNM")
    assert all(s[3:6] == "GKT" and s[8:] == "LW" for s in samples)


def allowed_by(template, alphabet=DNA, length=2) -> list[list[str]]:
    rows = parse_template(template, alphabet, LengthDistribution.fit([length]))
    return [[alphabet.letters[i] for i in np.flatnonzero(row)] for row in rows]


def test_brackets_in_the_alphabet_are_letters():
    assert allowed_by("[a", Alphabet("[]ab")) == [["["], ["a"]]
    smiles = Alphabet(["[nH]", "C", "N"], "smiles")
    assert allowed_by("C[nH]", smiles) == [["C"], ["[nH]"]]
    assert allowed_by("[ab]b", Alphabet("ab")) == [["a", "b"], ["b"]]
    with pytest.raises(ValueError, match="position 1: got '\\['"):
        allowed_by("[C", smiles)


@pytest.mark.parametrize("template", ["[ACGT]N", "[RY]N", "[Nn][a]", ["[", "N"]])
def test_sets_may_hold_iupac_codes(template):
    if isinstance(template, list):
        with pytest.raises(ValueError, match="position 1"):
            allowed_by(template)
    else:
        assert allowed_by(template)[0] == list("ACGT")


def impossible(kind: str, rng: np.random.Generator) -> dict:
    """Return arguments of `generate` that cannot be met."""
    template, _ = random_template(rng)
    while not isinstance(template, str):
        template, _ = random_template(rng)
    where = int(rng.integers(11))
    plain = "".join(rng.choice(list("ACGT"), 10))
    return {
        "too long": {"template": plain + "N" * int(rng.integers(1, 9))},
        "too short": {"template": plain[: int(rng.integers(1, 10))]},
        "another length": {"template": template, "length": int(rng.integers(11, 20))},
        "unknown letter": {
            "template": plain[: where % 10] + str(rng.choice(list("EFIJLOPQXZ5*-. é"))) + plain[where % 10 + 1 :]
        },
        "unclosed": {"template": plain[:where] + "[" + plain[where:]},
        "unopened": {"template": plain[:where] + "]" + plain[where:]},
        "nested": {"template": plain[:where] + "[A[C]G]" + plain[where:]},
        "empty set": {"template": plain[:where] + "[]" + plain[where:]},
        "nothing allowed": {"template": [*plain[:9], [[], "", ()][where % 3]]},
        "forbidden": {"template": template, "forbid": [held_word(template)]},
    }[kind]


def held_word(template: str) -> str:
    """Return a word that every sample of a template holds, in the template's own symbols."""
    allowed = allowed_by(template, DNA, 10)
    names = {"".join(sorted(letters)): code for code, letters in CODES.items()}
    return "".join(names["".join(sorted(letters))] for letters in allowed[3:8])


KINDS = ["too long", "too short", "another length", "unknown letter", "unclosed", "unopened", "nested", "empty set",
         "nothing allowed", "forbidden"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_impossible_templates_are_refused(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for i in range(10):
        arguments = impossible(kind, rng)
        with pytest.raises(ValueError) as caught:
            fitted(list(GENERATORS)[i]).generate(2, **arguments)
        message = str(caught.value)
        assert (
            isinstance(caught.value, ValueError)
            and "template" in message
            and "\n" not in message
            and ";" in message
            or ("this model makes" in message)
        ), message


def test_bracket_errors_name_the_position():
    for template, part in (
        ("AC[GT", r"position 3: got \[ without \]"),
        ("A[CG]TA]", r"position 5: got \] without \["),
        ("[]A", "position 1: got the empty set"),
        ("A[QV]" + "N" * 8, "position 2: got 'Q'"),
    ):
        with pytest.raises(ValueError, match=part):
            parse_template(template, DNA, LAW)
    assert PROTEIN.allowed("X") and len(parse_template("[AVI]" * 10, PROTEIN, LAW)) == 10
