"""Forbidden motifs: parsing, exclusion from samples, and warnings where exclusion is impossible."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from small_models import SMALL, mixed_lengths, sequences
from trained_guides import MAKERS

from seqdiff import Autoregressive, MaskedDiffusion, UniformDiffusion
from seqdiff.data import DNA, PROTEIN, RNA, Alphabet, Forbidden, resolve_alphabet
from seqdiff.data.constraints import parse_template
from seqdiff.estimators import requests
from seqdiff.guidance import Avoid, ClassifierFree, Guidance, Reward

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def strands(x: str) -> tuple[str, str]:
    return x, x.translate(COMPLEMENT)[::-1]


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("motifs", "held", "clean"),
    [
        ("GGTCTC", ["AAGGTCTCA", "GGTCTC", "TGAGACCT"], ["GGTCT", "GGTCAC", "CTCTGG"]),
        ("BsaI", ["AGGTCTC", "GAGACC"], ["GGTCTG"]),
        ("EcoRI", ["TGAATTCA"], ["TGAATTGA"]),
        ("bsai", ["AGGTCTC", "GAGACC"], ["GGTCTG"]),
        ("BsaI-HFv2", ["AGGTCTC", "GAGACC"], ["GGTCTG"]),
        ("EcoRI-HF", ["TGAATTCA"], ["TGAATTGA"]),
        ("HinfI", ["GATTC", "GAATC", "GAGTC"], ["GAATT", "GTTTC"]),
        ("GANTC", ["GATTC", "GACTC"], ["GATTA"]),
        ("ggtctc", ["GGTCTC"], ["GGTCTG"]),
        (" RY ", ["AT", "GC", "AC", "GT"], ["AA", "TT", "CC", "GG", "TA", "CG", "CA", "TG"]),
        (4, ["CAAAAC", "TTTT", "GGGGG", "CCCC"], ["AAATTT", "AAACAAA"]),
        ("3", ["CAAAC"], ["CAAC"]),
        (["AAC", 3, "EcoRI"], ["GTT", "CCC", "GAATTC"], ["GAATT", "CCAACC"[:4]]),
        (np.int64(2), ["AA"], ["ACGT"]),
        ([], [], ["AAAAAA"]),
    ],
)
def test_motifs_of_dna(motifs, held, clean):
    forbidden = Forbidden(motifs, DNA)
    assert all(forbidden.found(x) for x in held) and not any(forbidden.found(x) for x in clean)


def test_found_motifs_are_named_as_given():
    forbidden = Forbidden(["EcoRI", "RGG", 4], DNA)
    assert forbidden.found("CCGAATTC") == "EcoRI" and forbidden.found("TTTCCT") == "RGG"
    assert forbidden.found("CAAAAC") == "AAAA" and forbidden.found("ACGT") is None


def test_motifs_are_matched_on_both_strands():
    assert Forbidden("AAC", DNA).found("GTT") and not Forbidden("AAC", DNA, both_strands=False).found("GTT")
    assert Forbidden("AAC", RNA).found("CGUUC") and Forbidden("AAN", RNA).found("CUU") is not None
    assert len(Forbidden("GAATTC", DNA).patterns) == 1 and len(Forbidden(["AAC", "GTT"], DNA).patterns) == 2


def test_motifs_of_other_alphabets():
    protein = Forbidden(["RGD", "NXT", 5], PROTEIN)
    assert protein.found("MRGDK") and protein.found("NWT") and protein.found("QQQQQ")
    assert not protein.found("DGRK") and not protein.found("NW")
    with pytest.raises(ValueError, match="'EcoRI'"):  # O is no amino acid; an enzyme is nothing to a protein
        Forbidden("EcoRI", PROTEIN)
    text = Forbidden(["a.c", "x("], Alphabet("abcx.("))
    assert text.found("a.c") and text.found("ax(") and not text.found("abc")  # nothing is a regular expression
    pairs = Forbidden(["ba", 3], Alphabet(["ab", "ac", "bb"], "pairs"))
    codons = Forbidden(["BsaI", "GANTC"], resolve_alphabet("codons"))
    assert codons.found("AAAGGTCTC") and codons.found("AAGAGACCA") == "BsaI" and codons.found("GATTCA")
    assert not codons.found("GGTCTGGAT") and not codons.patterns
    assert Forbidden("ARC", resolve_alphabet("dna overlapping 2-mers")).found("GCT")
    assert pairs.found("abab") == "ba" and pairs.found("abbb") == "bbb" and not pairs.found("acac")


@pytest.mark.parametrize(
    ("motifs", "alphabet", "message"),
    [
        (1, DNA, "forbid: got the number 1, expected the length of a run of one letter, 2 to"),
        ("1", DNA, "forbid: got the number 1"),
        ("", DNA, "forbid: got '', expected motifs, or whole numbers for runs of one letter"),
        (["ACGT", None], DNA, "forbid: got None, expected motifs"),
        (True, DNA, "forbid: got True, expected motifs"),
        (2.5, DNA, "forbid: got 2.5, expected motifs"),
        (
            "NoSuchI",
            DNA,
            "no symbol of the dna alphabet, expected its letters, the name of a restriction enzyme or a whole",
        ),
        ("ACGU", DNA, "forbid: got 'ACGU', where 'U' is no symbol of the dna alphabet"),
        (
            "AC-GT",
            RNA,
            "forbid: got 'AC-GT', where '-' is no symbol of the rna alphabet, expected its letters or",
        ),
        ("Analysis", DNA, "no symbol of the dna alphabet"),  # a class of Bio.Restriction that is no enzyme
        ({"ACGT": 1}, DNA, "forbid: got {'ACGT': 1}"),
    ],
)
def test_invalid_motifs_are_refused(motifs, alphabet, message):
    with pytest.raises(ValueError) as caught:
        Forbidden(motifs, alphabet)
    assert message in str(caught.value) and "\n" not in str(caught.value)


# -- letters that are not written -------------------------------------------------------------------------------------


def test_completing_letters_equal_brute_force():
    """Against trying every letter at every position of random partial sequences."""
    motifs = {"ACG": "ACG|CGT", "RAT": "[AG]AT|AT[CT]", "TNC": "T[ACGT?]C|G[ACGT?]A", "AAA": "AAA|TTT"}
    guide, letters = Avoid(Forbidden(list(motifs), DNA).patterns), "ACGT"
    holds = re.compile("|".join(motifs.values())).search
    g = torch.Generator().manual_seed(0)
    x = torch.randint(4, (100, 7), generator=g)
    known = torch.rand(100, 7, generator=g) < 0.6
    real = (torch.arange(7) < torch.randint(4, 8, (100, 1), generator=g)) | known
    blocked = guide.completing(x, known, real, 4)
    assert blocked.any() and not blocked[known].any()
    for row in range(100):
        marks = [
            "-" if not there else letters[x[row, i]] if known[row, i] else "?" for i, there in enumerate(real[row])
        ]
        here = "".join(marks)
        for i in range(7):
            if here[i] == "?" and not holds(here):
                tried = [here[:i] + letter + here[i + 1 :] for letter in letters]
                assert blocked[row, i].tolist() == [holds(one) is not None for one in tried]


@pytest.fixture(scope="module")
def models():
    """Return a function name -> generator, fitted at first use."""
    made = {}

    def get(name: str):
        if name not in made:
            cls, options = MAKERS[name]
            small = {k: v for k, v in SMALL.items() if k != "diffusion_steps"}
            made[name] = cls(**small | options | {"epochs": 2}).fit(sequences(100, 8), ["a", "b"] * 50)
        return made[name]

    return get


@pytest.mark.parametrize("name", ["autoregressive", "first-hitting"])
@pytest.mark.parametrize("template", [None, "NNAANNNN"])
@pytest.mark.parametrize("motif", ["AC", "CANA", "ACN"])
def test_fixed_letters_never_complete_a_motif(models, monkeypatch, name, template, motif):
    """Without resampling: samples with motifs would be missing."""
    monkeypatch.setattr(requests, "TRIES", 0)
    model, forbidden = models(name), Forbidden(motif, DNA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = model.generate(100, forbid=motif, template=template, random_state=0)
    assert len(samples) == 100 and not any(forbidden.found(x) for x in samples)
    plain = model.generate(100, template=template, random_state=0)
    assert sum(forbidden.found(x) is not None for x in plain) > 5


@pytest.mark.parametrize("name", MAKERS)
def test_samples_hold_no_forbidden_motif(models, name):
    model = models(name)
    samples = model.generate(40, forbid=["ACG", "HinfI", 4], steps=10, random_state=0)
    assert len(samples) == 40 and model.made_.tolist() == list(range(40))
    for x in samples:
        assert not any(motif in s for s in strands(x) for motif in ("ACG", "GAATC", "GATTC", "GACTC", "GAGTC"))
        assert not any(letter * 4 in x for letter in "ACGT")
    assert model.generate(40, forbid=["ACG", "HinfI", 4], steps=10, random_state=0) == samples
    assert model.generate(10, forbid=["ACG", "HinfI", 4], steps=10, random_state=0) == samples[:10]
    assert model.generate(40, forbid=["ACG", "HinfI", 4], steps=10, random_state=1) != samples


def test_samples_without_the_motif_are_unchanged(models):
    """Where sampling is not constrained, samples without the motif equal those of a call without `forbid`."""
    model = models("uniform")
    plain = model.generate(60, steps=10, random_state=3)
    made = model.generate(60, steps=10, random_state=3, forbid="TGCA")
    held = ["TGCA" in x for x in plain]
    assert 0 < sum(held) < 30
    assert all((a == b) != h for a, b, h in zip(plain, made, held, strict=True))


def test_open_lengths_may_end_before_a_motif():
    """The end token completes no motif; where every letter would, the sequence ends."""
    X = mixed_lengths(60, 8)
    model = Autoregressive(width=8, depth=1, epochs=2, savepath=None, verbose=0).fit(X)
    samples = model.generate(60, forbid=["AA", "CC", "AC", "CA"], random_state=0)
    assert len({len(x) for x in samples}) > 1
    assert not any(motif in s for x in samples for s in strands(x) for motif in ("AA", "CC", "AC", "CA"))


def test_motifs_across_kmers_are_resampled():
    codons = Alphabet(["AAA", "ACC", "CAG", "TTT"], "some codons")
    X = ["".join(x) for x in np.random.default_rng(0).choice(codons.letters, (40, 4))]
    model = MaskedDiffusion(alphabet=codons, width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
    samples = model.generate(30, forbid=["AAC", "GT"], random_state=0)
    assert len(samples) == 30 and not any("AAC" in x or "GT" in x for x in samples)


# -- where it cannot be done ------------------------------------------------------------------------------------------


def test_unattainable_samples_are_dropped_with_a_warning(models, monkeypatch, tmp_path):
    monkeypatch.setattr(requests, "TRIES", 1)
    model = models("uniform")
    with pytest.warns(UserWarning, match="held a forbidden motif after 1 more tries each") as caught:
        samples = model.generate(40, forbid=["AA", "CC", "GTC"], steps=10, random_state=0, out=tmp_path / "x.txt")
    message = str(caught[0].message)
    left = 40 - len(samples)
    assert 0 < left < 40 and message.startswith(f"{left} of 40 ") and "AA " in message
    assert len(model.made_) == len(samples) and set(model.made_) < set(range(40))
    assert (tmp_path / "x.txt").read_text().split() == samples
    assert not any(motif in s for x in samples for s in strands(x) for motif in ("AA", "CC", "GTC"))
    assert caught[0].filename == __file__


def test_resampling_keeps_labels_with_samples(models, monkeypatch):
    """Sample i has label y[i], also when only some are resampled; the reward makes letters depend on labels."""
    monkeypatch.setattr(requests, "TRIES", 3)
    X = ["A" * 4 + x for x in sequences(60, 4, "AC")] + ["T" * 4 + x for x in sequences(60, 4, "TG")]
    y = np.array(["a"] * 60 + ["t"] * 60)
    model = UniformDiffusion(width=16, depth=1, epochs=30, lr=1e-2, batch_size=32, savepath=None, verbose=0).fit(X, y)
    wanted = np.array(["a", "t", "t"] * 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = model.generate(60, y=wanted, forbid=["AAAAA", "CAC"], guidance=ClassifierFree(2.0), random_state=0)
    assert 20 < len(samples) < 60
    inferred = ["a" if x.count("A") + x.count("C") > 4 else "t" for x in samples]
    assert np.mean(np.array(inferred) == wanted[model.made_]) > 0.9


class FirstLetters(Guidance):
    """Sample i begins with letter i mod 4."""

    def take(self, rows):
        part = FirstLetters()
        part.rows = rows
        return part

    def clean(self, predict, context):
        log_p0 = predict(context).clone()
        first = torch.nn.functional.one_hot(self.rows % 4, log_p0.shape[-1]).bool()
        log_p0[:, 0] = torch.where(first, 0.0, -torch.inf).to(log_p0.dtype)
        return log_p0


@pytest.mark.parametrize("name", ["uniform", "autoregressive"])
def test_resampling_keeps_guides_with_samples(models, name):
    """Holds for resampled rows and for several rows per sample."""
    model = models(name)
    for guides in ([FirstLetters()], [FirstLetters(), Reward(lambda s: [0.0] * len(s), particles=2)]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = model.generate(40, forbid=["GTC", 2], guidance=guides, steps=10, random_state=0)
        assert len(samples) > 5
        assert [s[0] for s in samples] == ["ACGT"[i % 4] for i in model.made_]


def test_particles_are_resampled_too(models):
    model = models("scud")
    guide = Reward(lambda s: [x.count("A") for x in s], 1.0, particles=4)
    samples = model.generate(30, forbid="AAA", guidance=guide, steps=8, random_state=0)
    assert len(samples) == 30 and not any("AAA" in x or "TTT" in x for x in samples)
    assert np.mean([x.count("A") for x in samples]) > 2.2


@pytest.mark.parametrize("name", ["autoregressive", "uniform"])
def test_motifs_that_cannot_be_avoided_are_refused(models, tmp_path, name):
    with pytest.raises(
        ValueError, match="forbid: got what all 3 samples hold: .* after 20 more tries each .*; forbid less"
    ):
        models(name).generate(3, forbid=["A", "C"], steps=4, out=tmp_path / "x.txt")
    assert not (tmp_path / "x.txt").exists()


def test_templates_with_a_forbidden_motif_are_refused(models):
    model = models("first-hitting")
    for template, forbid in (("NNGAATTC", "EcoRI"), ("NNGAATCN", "HinfI"), ("AAAANNNN", 4), ("NNNGTTNN", "AAC")):
        with pytest.raises(
            ValueError,
            match="template: got one that holds .* forbid rules out; change one of",
        ):
            model.generate(2, template=template, forbid=forbid)
    distribution = model.length_distribution_
    assert Forbidden("GANTC", DNA).unavoidable(parse_template("NNGANTCN", DNA, distribution)) == "GANTC"
    assert Forbidden("GAATC", DNA).unavoidable(parse_template("NNGANTCN", DNA, distribution)) is None
