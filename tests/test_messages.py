"""Values quoted in messages are short and printable; absurd names and sizes are refused at once."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import seqdiff
from seqdiff.alphabets.alphabet import words_of
from seqdiff.data import (
    DNA,
    Alphabet,
    LengthDistribution,
    Target,
    cluster_split,
    kmers,
    learn_target,
    parse_template,
    prepare,
    random_split,
    resolve_alphabet,
)
from seqdiff.errors import printable, shown

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


def test_printable_text_is_unchanged():
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
def test_misspelled_alphabet_names_are_not_read_as_letters(alphabet):
    with pytest.raises(ValueError, match="alphabet: got .*did you mean") as caught:
        prepare(X, alphabet=alphabet)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "letters", ["ACGTN", "acgt", "abc", "01", "HP", "xyz", "αβγ", "ACDEFGHIKLMNPQRSTVWYX", "()CNO=1"]
)
def test_letters_are_read_as_alphabets(letters):
    assert resolve_alphabet(letters).letters == tuple(letters)
    assert resolve_alphabet(list("proteins")).letters == tuple("proteins")  # a list says that letters are meant


@pytest.mark.parametrize("k", ["9", "1000000000000", "9" * 5000, "0", "1"])
@pytest.mark.parametrize("name", ["dna", "protein", "rna overlapping"])
def test_too_large_kmers_are_refused(name, k):
    with pytest.raises(
        ValueError,
        match="k: got .*, expected a whole number from 2 to .* at most 65,536 words, each a letter of its own",
    ) as e:
        prepare(X, alphabet=f"{name} {k}-mers")
    assert len(str(e.value)) < 300


@pytest.mark.slow
def test_largest_kmers_are_allowed():
    assert len(words_of("dna", 8)[0]) == 65_536 == len(words_of("ab", np.int64(16))[0])
    assert len(Alphabet.kmers("dna", 4)) == 256
    for k in (17, 10**400, True, -1):
        with pytest.raises(ValueError, match="k: got "):
            kmers("ab", k)
    with pytest.raises(ValueError, match="more than 65,536 words of two"):
        kmers([chr(0x4E00 + i) for i in range(300)], 2)


@pytest.mark.parametrize("size", ["1", "0", "70000", "9" * 5000])
def test_learned_alphabets_have_a_limit(size):
    with pytest.raises(ValueError, match=r"alphabet: got 'words \d+.*2 to 65,536 letters"):
        prepare(X, alphabet=f"words {size}")


LONG = ["x\n" * 10**4, np.arange(10**4), list(range(10**4)), {"a\n" * 999: 1}, object(), b"\x00" * 999, 10**4400]
CALLS = [
    lambda v: prepare(X, alphabet=v), lambda v: prepare(X, alphabet=["A", v]), lambda v: prepare(X, length=v),
    lambda v: prepare(X, ambiguous=v), lambda v: prepare(v), lambda v: prepare(X, v), lambda v: prepare([*X, v]),
    lambda v: Target().fit([0.5, 1.5], v), lambda v: Target().fit([0.5, 1.5]).encode(v, n=3),
    lambda v: Target().fit(["a", "b"]).encode(v, n=3), lambda v: learn_target({"a": [1], "b": [0.5]}).encode(v, n=1),
    lambda v: learn_target([0.5, 1.5], {"a": v}), lambda v: cluster_split(X, k=v), lambda v: random_split(9, v, 0),
    lambda v: parse_template(v, DNA, LengthDistribution.fit([12])),
    lambda v: parse_template(["A", v], DNA, LengthDistribution.fit([2])),
    lambda v: prepare(pd.DataFrame({"sequence": X}), sequence_column=v), lambda v: kmers("ab", v),
]  # fmt: skip


@pytest.mark.parametrize("value", LONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("call", CALLS)
def test_every_message_is_one_short_line(call, value):
    try:
        call(value)
    except (ValueError, TypeError) as error:
        text = str(error)
        assert text.isprintable() and len(text) < 700, text[:2000]
        assert isinstance(error, ValueError)


def test_warnings_are_of_the_line_that_called_the_package():
    x, y = [f"ACGT{a}{b}{c}" for a in "ACGT" for b in "ACGT" for c in "ACGT"], [f"c{i}" for i in range(64)]
    with pytest.warns(UserWarning, match="leave y out") as caught:
        prepare(x, y)
    assert [w.filename for w in caught] == [__file__]


def test_parameters_are_named_when_a_message_is_made():
    """A constant of a module would have them as they are in Python, in the shell too."""
    for path in Path(seqdiff.__file__).parent.rglob("*.py"):
        later = (ast.FunctionDef, ast.Lambda)
        todo = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if not isinstance(node, later)]
        while todo:
            node = todo.pop()
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "argument"
            assert not called, (path, node.lineno)
            todo += [child for child in ast.iter_child_nodes(node) if not isinstance(child, later)]
