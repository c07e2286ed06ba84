"""Alphabets: encoding against a slow obvious version, the laws of strands, what is guessed and what is refused."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from seqdiff.data import DNA, PROTEIN, RNA, Alphabet, AlphabetError, resolve_alphabet

GREEK = Alphabet("αβγδ ε", "greek")
CHEMISTRY = Alphabet(["C", "Cl", "Br", "N", "(", ")", "."], "chemistry")
ALPHABETS = [DNA, RNA, PROTEIN, GREEK, CHEMISTRY, Alphabet([chr(0x4E00 + i) for i in range(300)], "many")]


def encode_slow(alphabet: Alphabet, pieces: list[list[str]]) -> tuple[np.ndarray, list[int]]:
    lengths = [len(p) for p in pieces]
    tokens = np.zeros((len(pieces), max(lengths, default=0)), dtype=int)
    for i, letters in enumerate(pieces):
        for j, letter in enumerate(letters):
            tokens[i, j] = alphabet.letters.index(letter)
    return tokens, lengths


def draw(alphabet: Alphabet, lengths: list[int], seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[alphabet.letters[i] for i in rng.integers(len(alphabet), size=n)] for n in lengths]


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: a.name)
@pytest.mark.parametrize("lengths", [[5, 5, 5], [3, 0, 7, 1], [0, 0], []], ids=str)
def test_encode_equals_slow_version_and_decode_inverts_it(alphabet, lengths):
    pieces = draw(alphabet, lengths)
    sequences = ["".join(p) for p in pieces]
    tokens, found = alphabet.encode(sequences)
    expected, _ = encode_slow(alphabet, pieces)
    assert found.tolist() == lengths and found.dtype == np.int64
    assert tokens.shape == expected.shape and (tokens == expected).all()
    assert tokens.dtype == (np.uint16 if len(alphabet) > 256 else np.uint8)
    assert alphabet.decode(tokens, found) == sequences
    if len(set(lengths)) == 1:
        assert alphabet.decode(tokens) == sequences


@pytest.mark.parametrize("alphabet", [DNA, RNA, PROTEIN], ids=lambda a: a.name)
def test_biological_alphabets_alone_ignore_case(alphabet):
    lower = "".join(alphabet.letters).lower()
    assert alphabet.encode([lower])[0].tolist() == [list(range(len(alphabet)))]
    assert alphabet.normalize([f" {lower}\n"]) == ["".join(alphabet.letters)]
    custom = Alphabet(alphabet.letters, "custom")
    assert custom.normalize([lower]) == [lower]
    with pytest.raises(AlphabetError, match="got 'a' at position 1"):
        custom.encode([lower])


def test_normalize_makes_no_letters_from_nothing_and_keeps_spaces_that_are_letters():
    assert PROTEIN.normalize(["aß"]) == ["Aß"]  # not "ASS"
    assert Alphabet("ab ").normalize([" ab "]) == [" ab "]


@pytest.mark.parametrize(
    ("alphabet", "sequences", "where"),
    [
        (DNA, ["ACGT", "ACNT"], (1, 2, "N")),
        (DNA, ["", "ACG", "T\n"], (2, 1, "\n")),
        (DNA, ["ACGé"], (0, 3, "é")),
        (DNA, ["AC\U0001f600"], (0, 2, "\U0001f600")),
        (DNA, ["\ud800A"], (0, 0, "\ud800")),
        (GREEK, ["αβ", "αz"], (1, 1, "z")),
        (CHEMISTRY, ["CClN", "BrClO"], (1, 4, "O")),  # in characters, not letters
    ],
)
def test_unknown_letter_is_located(alphabet, sequences, where):
    with pytest.raises(AlphabetError) as caught:
        alphabet.encode(sequences)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.index, error.position, error.letter) == where
    assert f"sequence {where[0]}: got {where[2]!r} at position {where[1] + 1}, expected " in str(error)
    assert f", as the {alphabet.name} alphabet has; " in str(error)
    assert isinstance(error, ValueError)


def test_longest_letter_is_read_first_whatever_the_order():
    for letters in (["C", "Cl", "l"], ["l", "Cl", "C"]):
        alphabet = Alphabet(letters)
        tokens, lengths = alphabet.encode(["CClCl", "lC"])
        assert [[letters[t] for t in row[:n]] for row, n in zip(tokens, lengths, strict=True)] == [
            ["C", "Cl", "Cl"],
            ["l", "C"],
        ]


def test_decode_refuses_what_is_no_token():
    for tokens, lengths in [([[0, 4]], None), ([[-1, 0]], None), ([0, 1], None), ([[0, 1]], [3]), ([[0, 1]], [1, 1])]:
        with pytest.raises(ValueError, match="(tokens|lengths): got .*, expected "):
            DNA.decode(tokens, lengths)
    assert DNA.decode([[0, 99]], [1]) == ["A"]  # beyond the end anything may stand


@pytest.mark.parametrize("alphabet", [DNA, RNA, Alphabet("TGCA", "dna")], ids=repr)
def test_reverse_complement(alphabet):
    pairs = {"A": "TU", "C": "G", "G": "C", "T": "A", "U": "A"}
    for i, j in enumerate(alphabet.complement):
        assert alphabet.letters[j] in pairs[alphabet.letters[i]] and alphabet.complement[j] == i
    sequences = ["".join(p) for p in draw(alphabet, [0, 1, 9, 50])]
    other = alphabet.reverse_complement(sequences)
    assert alphabet.reverse_complement(other) == sequences
    assert other[2] == "".join(
        alphabet.letters[alphabet.complement[alphabet.letters.index(x)]] for x in sequences[2][::-1]
    )
    with pytest.raises(AlphabetError):
        alphabet.reverse_complement(["ACGN"])
    assert DNA.reverse_complement(["aaC"]) == ["Gtt"]
    with pytest.raises(ValueError, match="expected dna or rna, which"):
        PROTEIN.reverse_complement(["ACD"])


def test_iupac_codes_agree_with_biopython():
    from Bio.Data import IUPACData

    for code, bases in IUPACData.ambiguous_dna_values.items():
        if code != "X":
            assert "".join(DNA.letters[i] for i in DNA.allowed(code)) == "".join(sorted(bases))
    for code, bases in IUPACData.ambiguous_rna_values.items():
        if code != "X":
            assert "".join(RNA.letters[i] for i in RNA.allowed(code)) == "".join(sorted(bases))
    for code, letters in IUPACData.extended_protein_values.items():
        if code in "BZJ" or code in PROTEIN.letters:
            assert "".join(PROTEIN.letters[i] for i in PROTEIN.allowed(code)) == "".join(sorted(letters))
    assert PROTEIN.allowed("X") == tuple(range(20)) == PROTEIN.allowed("x")
    # each code's complement stands for the complements
    for code, other in IUPACData.ambiguous_dna_complement.items():
        if code != "X":
            assert {DNA.complement[i] for i in DNA.allowed(code)} == set(DNA.allowed(other))


@pytest.mark.parametrize(
    ("alphabet", "symbol"), [(DNA, "U"), (RNA, "T"), (DNA, "-"), (PROTEIN, "*"), (GREEK, "N"), (DNA, "")]
)
def test_allowed_refuses_other_symbols(alphabet, symbol):
    with pytest.raises(ValueError, match="expected a symbol of the"):
        alphabet.allowed(symbol)


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: a.name)
def test_identity(alphabet):
    again = [Alphabet.from_dict(json.loads(json.dumps(alphabet.to_dict()))), pickle.loads(pickle.dumps(alphabet))]
    for other in [*again, copy.deepcopy(alphabet), copy.copy(alphabet)]:
        assert other == alphabet and hash(other) == hash(alphabet) and repr(other) == repr(alphabet)
        assert other.encode([alphabet.letters[-1]])[0].tolist() == [[len(alphabet) - 1]]
    assert alphabet != Alphabet(alphabet.letters, "another") and alphabet != Alphabet(alphabet.letters[::-1], "greek")
    with pytest.raises(AttributeError, match="cannot be changed"):
        alphabet.name = "x"


@pytest.mark.parametrize(
    ("letters", "name", "message"),
    [
        ("ACGTA", "custom", "repeats the letter 'A'"),
        ("A", "custom", "at least two letters"),
        ("", "custom", "at least two letters"),
        (["A", ""], "custom", "expected letters of one character or more"),
        (["A", 1], "custom", "expected letters of one character or more"),
        (["A", "\0"], "custom", "expected letters of one character or more"),
        ("ACGTN", "dna", "name: got 'dna' for 'ACGTN', expected the letters ACGT"),
    ],
)
def test_no_alphabet(letters, name, message):
    with pytest.raises(ValueError, match=message):
        Alphabet(letters, name)


@pytest.mark.parametrize(
    ("sequences", "name"),
    [
        (["ACGTACGT", "acgtt"], "dna"),
        (["ACG", "GGA"], "dna"),  # neither T nor U
        (["ACGTACGTACGTACGTACGU"], "dna"),  # one stray U is an error of DNA, not a protein
        (["ACGT", "ACGU"], "dna"),
        (["ACGUACGU"], "rna"),
        (["ACGUUUUUUUUT"], "rna"),
        (["ACGTNNNNACG"], "dna"),  # more than a tenth of N's are not asparagines
        (["ACGTACGTRYACGTACGTAC"], "dna"),
        (["AC-GT--A....CGTACG"], "dna"),
        (["MKVLAAGIVGLLLAQWERTY"], "protein"),
        (["mkvlaagivgl", "wwfhp"], "protein"),
        (["MKVLAAGIVGLLLAQWERTYX*"], "protein"),
        (["MKV-AAGIVGLLLAQWERTY"], "protein"),
        (["NNDDNNHHSS", "KRRKNNVD"], "protein"),  # all nucleotide codes or not: too few plain bases
    ],
)
def test_auto(sequences, name):
    assert resolve_alphabet("auto", sequences).name == name
    assert resolve_alphabet("AUTO", sequences).name == name


@pytest.mark.parametrize(
    "sequences",
    [
        ["CC(=O)Oc1ccccc1C(=O)O"],
        ["first citizen before", " we proceed"],
        ["hello", "world", "foo"],
        ["12345"],
        ["---"],
        [""],
        [],
        ["αβγ"],
    ],
)
def test_text_and_smiles_are_never_guessed(sequences):
    with pytest.raises(ValueError, match="never guessed; pass alphabet='dna', 'rna', 'protein', 'smiles' or a string"):
        resolve_alphabet("auto", sequences)


def test_named_alphabets():
    assert resolve_alphabet("dna") is DNA and resolve_alphabet("RNA") is RNA and resolve_alphabet(PROTEIN) is PROTEIN
    assert resolve_alphabet("ACGT") is DNA  # its letters are its name
    assert resolve_alphabet("abc ").letters == ("a", "b", "c", " ")
    assert resolve_alphabet(["Cl", "C"]).letters == ("Cl", "C")
    for spec in ("smiles", "text", "a", 3, None, {"A": 1}):
        with pytest.raises(ValueError):
            resolve_alphabet(spec)
