"""`strands="both"`: the other strand in training and in scores."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import SMALL, mixed_lengths

from seqdiff import Autoregressive, MaskedDiffusion
from seqdiff.data import DNA, prepare

FAST = {k: v for k, v in SMALL.items() if k != "diffusion_steps"}


def test_both_strands_of_data_are_reverse_complements_with_reversed_signals():
    X = mixed_lengths(20, 8)
    signal = np.random.default_rng(0).normal(size=(20, max(map(len, X)), 2))
    both = prepare(X, signal, alphabet="dna").both_strands()
    assert both.sequences == X + DNA.reverse_complement(X)
    assert both.alphabet.decode(both.tokens, both.lengths) == both.sequences
    for sequence, given, other in zip(X, signal, both.y[20:], strict=True):
        n = len(sequence)
        assert np.array_equal(other[:n], given[:n][::-1]) and not other[n:].any()
    twice = both.take(np.arange(20, 40)).both_strands().take(np.arange(20, 40))
    assert twice.sequences == X


def test_training_on_both_strands_is_training_on_twice_the_data():
    X, y = mixed_lengths(60, 8), ["a", "b", "b"] * 20
    weight = np.linspace(0.5, 2, 60)
    both = Autoregressive(strands="both", **FAST).fit(X, y, validation=None, sample_weight=weight)
    data, labels = X + DNA.reverse_complement(X), y * 2
    twice = Autoregressive(**FAST).fit(data, labels, validation=None, sample_weight=np.tile(weight, 2))
    assert both.generate(5, y="a", random_state=0) == twice.generate(5, y="a", random_state=0)
    assert both.n_train_ == 60
    single = twice.score_samples(data, labels).reshape(2, -1)
    assert np.allclose(both.score_samples(X, y), single.mean(0), atol=1e-6)
    assert np.abs(single[0] - single[1]).max() > 0.1


def test_scores_of_both_strands_are_equal(tmp_path):
    X = mixed_lengths(40, 8)
    model = MaskedDiffusion(strands="both", **FAST).fit(X)
    model.save(tmp_path / "model.safetensors")
    loaded = MaskedDiffusion.load(tmp_path / "model.safetensors")
    scores, errors = loaded.score_samples(X[:10], times=200, return_error=True)
    others, more = loaded.score_samples(DNA.reverse_complement(X[:10]), times=200, return_error=True)
    assert (np.abs(scores - others) < 5 * np.hypot(errors, more)).all() and (errors > 0).all()


def test_letters_without_complements_are_refused():
    with pytest.raises(ValueError, match="alphabet: got protein, expected dna or rna for strands='both'"):
        Autoregressive(strands="both", alphabet="protein", **FAST).fit(["MKV", "MRV"])
