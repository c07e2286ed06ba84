"""Alphabets learned from text, and overlapping k-mers: tokens decode to valid text that encodes exactly."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections import Counter

import numpy as np
import pytest
from small_models import SMALL, sequences

import seqdiff
from seqdiff import EmbeddingDiffusion, MaskedDiffusion
from seqdiff.alphabets.vocabularies import OverlappingKmers, PieceAlphabet, WordAlphabet
from seqdiff.data import DNA, Alphabet, LengthDistribution, parse_template, prepare, resolve_alphabet

TEXT = ["the cat sat on the mat", "the cat ate", "a dog sat on a cat", "the dog ate the mat", "hash ## ### ##a ##a"]
PLAIN = [line for line in TEXT if "#" not in line]


def learned(name: str) -> Alphabet:
    if name.startswith("bpe"):
        pytest.importorskip("tokenizers", reason='alphabet="bpe" needs the library tokenizers (extra "bpe")')
    return resolve_alphabet(name, TEXT)


KINDS = ["words", "words 2", "bpe 40", "dna overlapping 3-mers"]


@pytest.mark.parametrize("name", KINDS)
def test_any_tokens_decode_to_valid_text(name):
    alphabet = learned(name)
    rng = np.random.default_rng(0)
    tokens, lengths = rng.integers(len(alphabet), size=(300, 12)), rng.integers(1, 13, 300)
    written = alphabet.decode(tokens, lengths)
    again = alphabet.normalize(written)
    real = [i for i, text in enumerate(again) if text]  # a text of nothing but spaces is empty
    assert len(real) > 290
    read = alphabet.encode([again[i] for i in real])
    assert alphabet.decode(*read) == [again[i] for i in real]
    if name != "bpe 40":
        assert again == written
    assert alphabet.decode(np.zeros((2, 0), int)) == ["", ""]


@pytest.mark.parametrize("name", KINDS)
def test_copied_alphabets_are_equal(name):
    alphabet = learned(name)
    text = ["ACGTT"] if "dna" in name else TEXT
    for same in (
        pickle.loads(pickle.dumps(alphabet)),
        copy.deepcopy(alphabet),
        Alphabet.from_dict(json.loads(json.dumps(alphabet.to_dict()))),
    ):
        assert same == alphabet and type(same) is type(alphabet) and hash(same) == hash(alphabet)
        assert (same.encode(text)[0] == alphabet.encode(text)[0]).all()
    assert alphabet != Alphabet(alphabet.letters, "letters")


@pytest.mark.parametrize("cls", [MaskedDiffusion, EmbeddingDiffusion])
@pytest.mark.parametrize("name", KINDS)
def test_learned_alphabets_fit_generate_and_reload(name, cls, tmp_path):
    alphabet = learned(name)
    X = sequences() if "dna" in name else PLAIN * 8
    model = cls(**SMALL | {"alphabet": name}).fit(X)
    assert type(model.alphabet_) is type(alphabet)
    samples = model.generate(20, random_state=1)
    assert set("".join(samples)) <= set("".join(X))
    # pieces may be read as fewer ones, a spelled word as more letters than the model has
    short = model.alphabet_.encode(samples)[1] <= model.length_distribution_.max_length
    assert short.any() and (np.isfinite(model.score_samples(samples)) == short).all()
    model.save(tmp_path / "m.safetensors")
    loaded = seqdiff.load(tmp_path / "m.safetensors", device="cpu")
    assert loaded.alphabet_ == model.alphabet_ and loaded.generate(20, random_state=1) == samples
    assert (loaded.score_samples(X[:4]) == model.score_samples(X[:4])).all()


# -- words ------------------------------------------------------------------------------------------------------------


def test_frequent_words_are_letters_and_rare_ones_are_spelled():
    words = WordAlphabet.learn(TEXT, 3)
    assert words.letters[:3] == ("the", "cat", "ate") and words.name == "words"
    assert words.split("the hat") == ["the", "h", "##a", "##t"]
    everything = WordAlphabet.learn(TEXT)
    often = {word for word, n in Counter(" ".join(TEXT).split()).items() if n > 1 and len(word) > 1}
    assert set(everything.letters[: len(often) - 1]) == often - {"##a"}
    characters = sorted(set("".join(TEXT)) - {" "})
    assert list(everything.letters[len(often) - 1 :]) == [*characters, *("##" + c for c in characters)]


def test_hash_signs_are_ordinary_characters():
    words = WordAlphabet.learn(TEXT)
    assert words.split("##a a#") == ["#", "###", "##a", "a", "###"]
    assert words.decode(*words.encode(TEXT)) == TEXT


def test_spaces_do_not_matter_and_unknown_characters_are_named():
    data = prepare([" the  cat\tsat ", "the mat"], alphabet=WordAlphabet.learn(TEXT))
    assert data.sequences == ["the cat sat", "the mat"] and data.lengths.tolist() == [3, 2]
    with pytest.raises(
        ValueError, match=r"X\[0\]: got 'z' at position 6, expected .* as the words alphabet has; correct the text"
    ):
        prepare(["the az"], alphabet=WordAlphabet.learn(TEXT))
    for text, position in (("the Zoo", 5), ("Zoo", 1), ("tZe", 2), ("mat Z", 5)):
        with pytest.raises(ValueError, match=f"got 'Z' at position {position},"):
            prepare([text], alphabet=WordAlphabet.learn(TEXT))


def test_templates_of_words():
    words = WordAlphabet.learn(TEXT)
    allowed = parse_template(["the", None, ["cat", "mat"]], words, LengthDistribution.fit([3]))
    assert allowed.sum(1).tolist() == [1, len(words), 2]
    assert (
        parse_template("the cat", words, LengthDistribution.fit([2])).argmax(1) == words.encode(["the cat"])[0]
    ).all()


def test_spelled_words_are_refused_as_template_choices():
    words, distribution = WordAlphabet.learn(TEXT), LengthDistribution.fit([2])
    assert words.split("mash") == ["m", "##a", "##s", "##h"]
    with pytest.raises(ValueError, match=r"position 1: got 'mash', expected .* words alphabet \(\d+ letters\)"):
        parse_template(["mash", None], words, distribution)
    allowed = parse_template(["cat m", "##a"], words, distribution)
    assert [[words.letters[i] for i in np.flatnonzero(row)] for row in allowed] == [["cat", "m"], ["##a"]]


# -- byte pair encoding -----------------------------------------------------------------------------------------------


def slow_pieces(alphabet: PieceAlphabet, text: str) -> list[str]:
    """Join what every merge joins, one merge after the other, word by word."""
    found = []
    for i, word in enumerate(text.split(" ")):
        pieces = list(word if i == 0 else " " + word)
        for first, second in alphabet.merges:
            j = 0
            while j < len(pieces) - 1:
                if (pieces[j], pieces[j + 1]) == (first, second):
                    pieces[j : j + 2] = [first + second]
                j += 1
        found += pieces
    return found


def test_pieces_equal_slow_merging():
    alphabet = learned("bpe 40")
    assert 25 < len(alphabet) <= 40 and alphabet == resolve_alphabet("BPE 40", TEXT)
    assert len(resolve_alphabet("bpe 20", TEXT)) == 20
    rare = resolve_alphabet("bpe 40", ["abc def abc"]).letters  # pieces that occur once are none
    assert set(rare) == {*"abcdef ", "ab", "abc"} or set(rare) == {*"abcdef ", "bc", "abc"}
    for text in [*TEXT, "that hat on a mat", "ss  o"]:
        assert alphabet.split(text) == slow_pieces(alphabet, text)
    pairs = Counter(pair for line in TEXT for word in line.split(" ") for pair in zip(" " + word, word, strict=False))
    assert "".join(alphabet.merges[0]) in {a + b for (a, b), n in pairs.items() if n == max(pairs.values())}


def test_surrounding_white_space_is_stripped():
    """Lines as a file gives them."""
    learned("bpe 40")
    for texts in (PLAIN, sequences()):
        data = prepare([f"{text}\n" for text in texts], alphabet="bpe 30")
        assert data.sequences == texts and data.alphabet == resolve_alphabet("bpe 30", texts)
    assert prepare([" ACGT \n"], alphabet=data.alphabet).sequences == ["ACGT"]


def test_template_pieces_are_letters():
    learned("bpe 40")
    pieces = PieceAlphabet(["a", "b", "c", "ab", "bc", "abc"], "bpe", [["a", "b"], ["b", "c"], ["a", "bc"]])
    assert pieces.split("abc") == ["ab", "c"]
    assert parse_template(["abc", "abcc"], pieces, LengthDistribution.fit([2])).tolist() == [
        [False, False, False, False, False, True],
        [False, False, True, True, False, False],
    ]


def test_unknown_characters_are_refused():
    alphabet = learned("bpe 40")
    assert "".join(alphabet.split("the !cat?")) == "the !cat?"
    with pytest.raises(ValueError, match=r"got '!' at position 5, expected .* as the bpe alphabet has"):
        alphabet.encode(["the !cat"])


def test_missing_tokenizers_library_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match=r'pip install "seqdiff\[bpe\]"'):
        prepare(TEXT, alphabet="bpe")
    # what a model has written can be read without it
    assert PieceAlphabet(["A", "C", "AC"], "bpe", [["A", "C"]]).decode([[2, 0]]) == ["ACA"]


# -- overlapping k-mers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 5])
def test_overlapping_kmers_are_read_at_every_position(k):
    alphabet = resolve_alphabet(f"DNA overlapping {k}-mers")
    X = sequences(20, 11)
    tokens, lengths = alphabet.encode([x.lower() for x in X])
    assert (lengths == 12 - k).all()
    for row, x in zip(tokens, X, strict=True):
        assert [alphabet.letters[t] for t in row] == [x[i : i + k] for i in range(12 - k)]
    assert alphabet.decode(tokens) == X


def test_inconsistent_overlaps_decode_to_the_same_length():
    alphabet = OverlappingKmers.make("dna", 4)
    tokens = np.random.default_rng(0).integers(256, size=(50, 7))
    for text, row in zip(alphabet.decode(tokens), tokens, strict=True):
        assert len(text) == 10 and set(text) <= set("ACGT")
        assert text[:6] == "".join(alphabet.letters[t][0] for t in row[:6]) and text[6:] == alphabet.letters[row[6]]


def test_templates_hold_for_inconsistent_overlaps():
    model = MaskedDiffusion(**SMALL | {"alphabet": "dna overlapping 3-mers"}).fit(sequences())
    for sample in model.generate(40, template="NNACGRNNTN", random_state=0):
        assert sample[2:5] == "ACG" and sample[5] in "AG" and sample[8] == "T" and len(sample) == 10


def test_lists_of_choices_are_read_per_window():
    alphabet = resolve_alphabet("dna overlapping 3-mers")
    allowed = parse_template(["TAATAGTGA", None, ["GGN"]], alphabet, LengthDistribution.fit([3]))
    assert [alphabet.letters[i] for i in np.flatnonzero(allowed[0])] == ["TAA", "TAG", "TGA"]
    assert allowed.sum(1).tolist() == [3, 64, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prepare(["ACGT", "AC"], alphabet="dna overlapping 3-mers"),
         r"X\[1\]: got 'AC' alone, expected at least 3 characters, as the dna overlapping 3-mers alphabet reads"),
        (lambda: prepare(["ACGU"], alphabet="dna overlapping 3-mers"), "pass alphabet='rna overlapping 3-mers'"),
        (lambda: prepare(["ACGT"], alphabet="rna overlapping 3-mers"), "pass alphabet='dna overlapping 3-mers'"),
        (lambda: prepare(["ACGGNT"], alphabet="dna overlapping 3-mers"), "got 'GGN' at position 3"),
        (lambda: OverlappingKmers(["A", "C"]), "words of one length of at least 2"),
        (lambda: OverlappingKmers.make("dna", 9), "at most 65,536 words"),
        (lambda: resolve_alphabet("words 1"), "alphabet: got 'words 1', expected 2 to 65,536 letters"),
        (lambda: resolve_alphabet("words", ["aaa"]), "got 1 different character, expected two or more"),
        (lambda: Alphabet.from_dict({"kind": "Runes", "letters": ["a", "b"], "name": "x"}), "upgrade seqdiff"),
        (lambda: PieceAlphabet(["A", "C"], "bpe", [["A", "C"]]), "merges: got .*, expected pairs of letters that make"),
    ],
)  # fmt: skip
def test_invalid_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_too_few_pieces_for_the_characters():
    learned("bpe 40")
    with pytest.raises(ValueError, match="got 1 different character, expected two or more, of which pieces are made"):
        resolve_alphabet("bpe", ["aaa"])
    with pytest.raises(ValueError, match="got 12 different char.*, expected 2 to 5 for bpe; pass alphabet='bpe 512'"):
        resolve_alphabet("bpe 5", PLAIN)


def test_plain_alphabets_keep_their_file_format():
    assert DNA.to_dict() == {"letters": list("ACGT"), "name": "dna"}
