"""Published models of the layout of UDLM and MDLM: the same function here, and what guides, templates and files do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from published_layout import LETTERS, published_logits, write_published
from safetensors.torch import save_file
from small_models import refuses, seeded

import seqdiff
from seqdiff import MaskedDiffusion, UniformDiffusion
from seqdiff.alphabets import Alphabet, MarkedAlphabet, MarkedPieces
from seqdiff.guidance import ClassifierFree, LookAhead, Reward
from seqdiff.processes import State

TOKENS = ["<bos>", "<eos>", "<mask>", "<pad>", "<unk>", "C", "N", "O", "="]


def sigma(t: float) -> float:
    """Return the noise of the log-linear schedule of the authors."""
    return -math.log(1 - (1 - 1e-3) * t)


def some_tokens(n: int, length: int = 7, letters: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.randint(letters, (n, length), generator=seeded(seed))


# -- the function -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [0, 1, 2, None])
def test_logits_are_those_of_the_published_network(tmp_path: Path, label: int | None) -> None:
    """With a label, the null label, and of a model without labels."""
    weights = write_published(tmp_path, cfg=label is not None)
    network = seqdiff.load(tmp_path).model_.network
    for x, t in zip(some_tokens(3), (0.0, 0.37, 1.0), strict=True):
        expected = published_logits(weights, x.tolist(), sigma(t), label)
        cond = None
        if label is not None:
            cond = {"label": torch.tensor([min(label, 1)]), "keep": torch.tensor([label < 2])}
        found = network(x[None], torch.tensor([t], dtype=torch.float64), cond, torch.ones(1, 7, dtype=torch.bool))[0]
        assert expected.std() > 0.5
        torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_without_time_conditioning_sigma_is_zero(tmp_path: Path) -> None:
    weights = write_published(tmp_path, cfg=False, time_conditioning=False)
    network = seqdiff.load(tmp_path).model_.network
    x = some_tokens(1)
    expected = published_logits(weights, x[0].tolist(), 0.0, None)
    for t in (0.0, 0.6):
        torch.testing.assert_close(network(x, torch.tensor([t]))[0].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("timed", [False, True])
def test_masked_model_predicts_letters_without_the_mask(tmp_path: Path, timed: bool) -> None:
    """Log p(x0 | x_t) at a mask is the softmax of the other logits; a letter that is seen stays (MDLM's SUBS)."""
    weights = write_published(tmp_path, model_type="mdlm", architectures=["MDLM"], cfg=False, time_conditioning=timed)
    model = seqdiff.load(tmp_path)
    assert isinstance(model, MaskedDiffusion) and len(model.alphabet_) == 8 and "<mask>" not in model.alphabet_.letters
    process = model.model_.process
    published = torch.tensor([0, 5, 2, 2, 7, 2, 1])  # 2 is <mask>
    ours = torch.tensor([{0: 0, 1: 1, 2: 8, 5: 4, 7: 6}[i] for i in published.tolist()])
    mask = torch.ones(1, 7, dtype=torch.bool)
    state = process.state_class(ours[None], torch.tensor([0.6]), mask)
    found = process.predict(model.model_.network, state, None)[0]
    logits = published_logits(weights, published.tolist(), sigma(0.6) if timed else 0.0, None)
    logits[:, 2] = -math.inf
    expected = torch.log_softmax(logits, -1)[:, [0, 1, 3, 4, 5, 6, 7, 8]]
    hidden = published == 2
    torch.testing.assert_close(found[hidden].double(), expected[hidden], atol=1e-5, rtol=1e-5)
    assert (found[~hidden].argmax(-1) == ours[~hidden]).all()
    assert (found[~hidden].amax(-1) == 0).all()


def test_mask_that_the_tokenizer_lacks_is_the_last_letter(tmp_path: Path) -> None:
    """As the authors' code appends it."""
    write_published(tmp_path, vocab=None, model_type="mdlm", cfg=False)
    model = seqdiff.convert_udlm(tmp_path, list("abcdefgh"))
    assert model.alphabet_.letters == tuple("abcdefgh")
    assert set("".join(model.generate(3, random_state=0))) <= set("abcdefgh")


def test_step_is_the_published_posterior(tmp_path: Path) -> None:
    """q(x_s | x_t, x_0) with x_theta in the place of x_0, alpha_t = 1 - t (arXiv 2412.10193, equation 14)."""
    weights = write_published(tmp_path, cfg=False)
    model = seqdiff.load(tmp_path)
    process, k = model.model_.process, 9
    x, t, s = some_tokens(1), 0.7, 0.4
    x_theta = torch.softmax(published_logits(weights, x[0].tolist(), sigma(t), None), -1)
    a_t, a_s = 1 - t, 1 - s
    a_ts = a_t / a_s
    z = torch.nn.functional.one_hot(x[0], k).double()
    numerator = k * a_t * x_theta * z + (a_ts - a_t) * z + (a_s - a_t) * x_theta + (1 - a_ts) * (1 - a_s) / k
    expected = numerator / (k * a_t * x_theta.gather(1, x[0][:, None]) + 1 - a_t)
    torch.testing.assert_close(expected.sum(-1), torch.ones(7, dtype=torch.float64))
    state = State(x, torch.tensor([t], dtype=torch.float64), torch.ones_like(x, dtype=torch.bool))
    found = process.kernel(process.predict(model.model_.network, state, None), state, s)
    torch.testing.assert_close(found.exp()[0].double(), expected, atol=1e-5, rtol=1e-4)


# -- as a model of this package ---------------------------------------------------------------------------------------


def test_converted_model_generates_is_guided_scored_and_saved(tmp_path: Path) -> None:
    write_published(tmp_path / "udlm")
    model = seqdiff.convert_udlm(tmp_path / "udlm", labels=["few", "many"])
    assert isinstance(model, UniformDiffusion) and model.target_.classes_ == ["few", "many"]
    plain = model.generate(40, y="many", steps=5, random_state=0)
    assert all("<bos>" not in s and "<pad>" not in s for s in plain)
    guided = model.generate(40, y="many", steps=5, guidance=ClassifierFree(3.0), random_state=0)
    assert guided != plain

    rewarded = model.generate(40, steps=5, guidance=Reward(lambda s: [x.count("O") for x in s], 4.0), random_state=0)
    free = model.generate(40, steps=5, random_state=0)
    assert np.mean([s.count("O") for s in rewarded]) > np.mean([s.count("O") for s in free])

    template = ["<bos>", "C", "NO", None, None, "<eos>", "<pad>"]
    for guide in (None, LookAhead(4)):
        for s in model.generate(10, template=template, guidance=guide, steps=5, random_state=0):
            letters = model.alphabet_.pieces(s)
            assert letters[0] == "C" and letters[1] in "NO" and len(letters) <= 4

    scores = model.score_samples(["CCO", "C", "CCCCCC"], times=4)
    assert np.isfinite(scores[:2]).all() and scores[2] == -np.inf  # eight letters with its marks
    model.save(tmp_path / "ours.safetensors")
    again = seqdiff.load(tmp_path / "ours.safetensors")
    assert again.alphabet_ == model.alphabet_ and again.model_.knows_no_label
    assert again.generate(5, y="few", steps=5, random_state=1) == model.generate(5, y="few", steps=5, random_state=1)


def test_bound_is_not_below_the_models_own_log_likelihood(tmp_path: Path) -> None:
    """Scores are at most the log of the shares of all four sequences among the model's samples."""
    write_published(tmp_path, vocab=None, vocab_size=2, model_length=2, cfg=False)
    model = seqdiff.convert_udlm(tmp_path, ["a", "b"])
    every = ["aa", "ab", "ba", "bb"]
    samples = model.generate(2000, steps=50, random_state=0)
    shares = np.array([samples.count(s) / 2000 for s in every])
    lower = np.exp(model.score_samples(every, times=100))
    assert 0.3 < lower.sum() <= 1.02
    assert (lower <= shares + 0.03).all()


# -- tokenizers -------------------------------------------------------------------------------------------------------


def test_marks_frame_what_is_read_and_are_left_out_of_what_is_written() -> None:
    alphabet = MarkedAlphabet(TOKENS, "tokens", "<bos>", "<eos>", "<pad>", 7)
    tokens, lengths = alphabet.encode(["CCO", "C=N"])
    assert tokens.tolist() == [[0, 5, 5, 7, 1, 3, 3], [0, 5, 8, 6, 1, 3, 3]] and lengths.tolist() == [7, 7]
    assert alphabet.decode(tokens, lengths) == ["CCO", "C=N"]
    assert alphabet.decode([[5, 1, 5, 3, 3, 0, 2]]) == ["CC<mask>"]
    assert alphabet.split("<bos>CCO<eos><pad>") == alphabet.split("CCO")
    assert Alphabet.from_dict(json.loads(json.dumps(alphabet.to_dict()))) == alphabet
    with pytest.raises(ValueError, match="got 'X' at position 2"):
        alphabet.encode(["CXO"])


@pytest.mark.parametrize("whole", [False, True])
def test_vocabulary_with_and_without_its_special_tokens(tmp_path: Path, whole: bool) -> None:
    vocab = {token: i for i, token in enumerate(TOKENS)} if whole else LETTERS
    write_published(tmp_path, vocab=vocab)
    model = seqdiff.convert_udlm(tmp_path)
    assert model.alphabet_.letters == tuple(TOKENS) and model.alphabet_.split("C")[:3] == ["<bos>", "C", "<eos>"]


def test_special_tokens_take_the_names_of_the_tokenizer(tmp_path: Path) -> None:
    vocab = {"[B]": 0, "[E]": 1, "[M]": 2, "[P]": 3, "[U]": 4, **{x: i + 5 for x, i in LETTERS.items()}}
    write_published(tmp_path / "model", vocab=None)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps(vocab))
    names = {"cls_token": "[B]", "sep_token": {"content": "[E]"}, "mask_token": "[M]", "pad_token": "[P]",
             "unk_token": "[U]", "bos_token": None}  # fmt: skip
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(names))
    model = seqdiff.convert_udlm(tmp_path / "model", tokenizer)
    assert model.alphabet_.split("CO") == ["[B]", "C", "O", "[E]", "[P]", "[P]", "[P]"]


def test_word_pieces_are_read_as_bert_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", "##ber", "the", "é"]
    write_published(tmp_path, vocab=None)
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    model = seqdiff.load(tmp_path)
    alphabet = model.alphabet_
    assert isinstance(alphabet, MarkedPieces)
    assert alphabet.split("The SOBER, the") == ["[CLS]", "the", "so", "##ber", "[UNK]", "the", "[SEP]"]
    assert alphabet.decode(*alphabet.encode(["the  sober"])) == ["the sober"]
    assert Alphabet.from_dict(alphabet.to_dict()) == alphabet
    assert np.isfinite(model.score_samples(["the sober"], times=2)).all()


# -- what is refused --------------------------------------------------------------------------------------------------


def test_files_that_are_not_of_the_layout_are_refused(tmp_path: Path) -> None:
    weights = write_published(tmp_path)
    convert = seqdiff.convert_udlm
    refuses(lambda: convert(tmp_path, TOKENS[:-1]), "tokenizer: got 8 letters", "expected 9")
    refuses(lambda: convert(tmp_path, labels=["one"]), "labels: got ['one']", "2 different names")
    refuses(lambda: convert(tmp_path / "nothing"), "without config.json")
    refuses(lambda: seqdiff.load(write_changed(tmp_path / "a", vocab=None)), "tokenizer: got None", "convert_udlm")
    refuses(lambda: convert(write_changed(tmp_path / "b", cfg=False), labels=["x", "y"]), "labels", "has none")

    config = json.loads((tmp_path / "config.json").read_text())
    for name, value in (
        ("n_heads", 5),
        ("vocab_size", "9"),
        ("model_length", 10**9),
        ("cfg_num_classes", -1),
        ("dropout", "x"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | {name: value}))
        refuses(lambda: convert(tmp_path), "config.json", "got")
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_dim": 16}))
    refuses(lambda: convert(tmp_path), "the shape", "as config.json says")
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "bert", "architectures": []}))
    refuses(lambda: convert(tmp_path), "the type 'bert'", "udlm")
    (tmp_path / "config.json").write_text(json.dumps(config))

    weights["rotary_emb.inv_freq"] = weights["rotary_emb.inv_freq"] / 2
    save_file(weights, tmp_path / "model.safetensors")
    refuses(lambda: convert(tmp_path), "rotary")
    del weights["rotary_emb.inv_freq"], weights["blocks.1.norm1.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    refuses(lambda: convert(tmp_path), "another layout", "blocks.1.norm1.weight")
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    refuses(lambda: convert(tmp_path), "a damaged file")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    refuses(
        lambda: seqdiff.load(tmp_path), "without model.safetensors", "pickles such as pytorch_model.bin are not read"
    )


def write_changed(folder: Path, **changes: object) -> Path:
    write_published(folder, **changes)  # type: ignore[arg-type]
    return folder
