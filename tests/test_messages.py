"""What messages quote fits on a line, and names and numbers that nobody can mean are refused at once."""

from __future__ import annotations

import numpy as np
import pytest

from seqdiff.data import Alphabet, kmers, prepare, resolve_alphabet
from seqdiff.data.letters import printable, shown

X = ["ACGTACGTACGT", "ACGGACGTACGT"]


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    ["a\nb", "\x1b[2J\x07", "\u202e\ud800\u2028", "x" * 10**6, np.arange(10**5), np.eye(9), list(range(10**6)),
     10**5000, Broken(), {"a": "\n" * 99}, b"\x00\n" * 500, ("\n",), object()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_quoted_values_are_short_printable_lines(value):
    text = shown(value)
    assert text and text.isprintable() and len(text) <= 80
    assert isinstance(value, str) is text.startswith(("'", '"')) or isinstance(value, bytes)


def test_printable_leaves_what_can_be_printed():
    for text in ("plain", "µ-Größe ñ 日本", ""):
        assert printable(text) == text
    assert printable("a\tb\u200b\x85") == "a\\tb\\u200b\\x85"


@pytest.mark.parametrize(
    "alphabet",
    [
        "proteins", "Protein ", "aminoacids", "amino", "amino acids", "dna 3mers", "DNA 3 mers", "dna_3-mers", "3-mers",
        "dna 3-mer", "dnas", " dna", "RNAs", "codon", "smile", "word", "text", "nt", "prtein", "Auto ",
    ],
)  # fmt: skip
def test_near_misses_of_names_are_not_read_as_letters(alphabet):
    with pytest.raises(ValueError, match="alphabet: got .*did you mean") as caught:
        prepare(X, alphabet=alphabet)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "letters", ["ACGTN", "acgt", "abc", "01", "HP", "xyz", "αβγ", "ACDEFGHIKLMNPQRSTVWYX", "()CNO=1"]
)
def test_letters_are_still_letters(letters):
    assert resolve_alphabet(letters).letters == tuple(letters)
    assert resolve_alphabet(list("proteins")).letters == tuple("proteins")  # a list says that letters are meant


@pytest.mark.parametrize("k", ["9", "1000000000000", "9" * 5000, "0", "1"])
@pytest.mark.parametrize("name", ["dna", "protein", "rna overlapping"])
def test_kmers_have_a_limit_that_is_told_at_once(name, k):
    with pytest.raises(ValueError, match="k=.* at most 65,536 words, each a letter of its own, where k is 2 to") as e:
        prepare(X, alphabet=f"{name} {k}-mers")
    assert len(str(e.value)) < 300


def test_the_largest_kmers_are_made():
    assert len(kmers("dna", 8)) == 65_536 and len(kmers("ab", np.int64(16))) == 65_536
    assert len(Alphabet.kmers("protein", 3)) == 8000
    for k in (17, 10**400, True, -1):
        with pytest.raises(ValueError, match="k="):
            kmers("ab", k)
    with pytest.raises(ValueError, match="more than 65,536 words of two"):
        kmers([chr(0x4E00 + i) for i in range(300)], 2)


@pytest.mark.parametrize("size", ["1", "0", "70000", "9" * 5000])
def test_learned_alphabets_have_a_limit(size):
    with pytest.raises(ValueError, match=r"alphabet='words \d+.*2 to 65,536 letters"):
        prepare(X, alphabet=f"words {size}")
