"""Alphabets: letters, k-mers, codons and SMILES, alone and in a fitted model."""

from __future__ import annotations

import copy
import csv
import json
import pickle
import re

import numpy as np
import pytest
import torch

import seqdiff
from seqdiff import MaskedDiffusion
from seqdiff.data import (
    CODONS,
    DNA,
    PROTEIN,
    RNA,
    Alphabet,
    AlphabetError,
    LengthDistribution,
    kmers,
    parse_template,
    prepare,
    resolve_alphabet,
)
from seqdiff.model import Vocabulary

MOLECULES = ["CC(=O)Oc1ccccc1", "C[C@@H](N)C(=O)O", "Brc1cc[nH]c1Cl", "C%12CCCC%12", "[Na+].[Cl-]", "N#CC=C\\F", "CS"]


# -- words ------------------------------------------------------------------------------------------------------------


def test_words_are_consecutive_kmers():
    words = kmers("ACGT", 3)
    assert words == Alphabet.kmers("dna", 3) == resolve_alphabet("DNA 3-mers") and words.name == "dna 3-mers"
    assert words.letters == tuple(a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT")
    tokens, lengths = words.encode(["ACGTTT", "gga"])
    assert tokens.tolist() == [[0 * 16 + 1 * 4 + 2, 63], [2 * 16 + 2 * 4 + 0, 0]] and lengths.tolist() == [2, 1]
    assert words.decode(tokens, lengths) == ["ACGTTT", "GGA"]
    assert len(kmers("protein", 2)) == 400 and kmers("ab", 3).name == "3-mers" and kmers(RNA, 2).name == "rna 2-mers"
    for same in (
        pickle.loads(pickle.dumps(words)),
        copy.deepcopy(words),
        Alphabet.from_dict(json.loads(json.dumps(words.to_dict()))),
    ):
        assert same == words and same.split("ACGT") == ["ACG", "T"] and same.ignores_case


@pytest.mark.parametrize(
    "alphabet", [CODONS, kmers("rna", 2), kmers("ab", 4), kmers("protein", 2)], ids=lambda a: a.name
)
def test_long_texts_of_words(alphabet):
    rng = np.random.default_rng(0)
    tokens = rng.integers(len(alphabet), size=(40, 30))
    sequences = ["".join(alphabet.letters[i] for i in row) for row in tokens]
    found, lengths = alphabet.encode(sequences)
    assert (found == tokens).all() and (lengths == 30).all() and alphabet.decode(found) == sequences


def test_codons():
    assert resolve_alphabet("Codons") is CODONS and len(CODONS) == 64 and CODONS != kmers("dna", 3)
    data = prepare(["atgtaa", "ATGCCCTAA"], alphabet="codons", length=None)
    assert data.sequences == ["ATGTAA", "ATGCCCTAA"] and data.lengths.tolist() == [2, 3]
    assert CODONS.complement is None
    with pytest.raises(ValueError, match="got the codons alphabet, expected dna or rna, which"):
        CODONS.reverse_complement(["ATG"])


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (["ATGTAA", "ATGTA"], {}, r"X\[1\]: got 'TA' at the end, as the 5 of this sequence are no multiple of 3, "
         "expected 3 characters at a time, as the codons alphabet reads them; correct the sequence"),
        (["ATGTNA"], {}, r"X\[0\]: got 'TNA' at position 4, .*or pass ambiguous='drop'"),
        (["ATG-AA"], {"ambiguous": "drop"}, "got '-AA' at position 4"),
        (["AUGUAA"], {}, "got 'AUG' at position 1,.*if this is RNA pass alphabet=.rna 3-mers., else replace U by T"),
        (["ATGTAA"], {"alphabet": "rna 3-mers"}, "if this is DNA pass alphabet='dna 3-mers', else replace T by U"),
        (["ATGTAA", "ATG"], {"length": 2}, r"X\[1\]: got a sequence of 1 letter .*, expected length=2"),
        (["ATN"], {"ambiguous": "drop"}, "got no sequence that is left"),
        (["abba", "aba"], {"alphabet": kmers("ab", 2)}, "got 'a' at the end.* the 3 of this sequence"),
    ],
)  # fmt: skip
def test_sequences_that_are_not_whole_words_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        prepare(X, **{"alphabet": "codons"} | options)
    assert "\n" not in str(caught.value)


def test_sequences_with_ambiguous_words_are_dropped():
    data = prepare(["ATGTNA", "ATGTAA", "atgryk"], alphabet="codons", ambiguous="drop")
    assert data.sequences == ["ATGTAA"] and data.kept.tolist() == [1]
    assert prepare(["ACDE", "AXDE", "AUDE"], alphabet=kmers("protein", 2), ambiguous="drop").sequences == ["ACDE"]


def test_templates_of_words():
    distribution = LengthDistribution.fit([3])
    allowed = parse_template("ATGNNKtaa", CODONS, distribution)
    names = [[CODONS.letters[i] for i in np.flatnonzero(row)] for row in allowed]
    assert (
        names[0] == ["ATG"] and names[2] == ["TAA"] and len(names[1]) == 32 and {w[2] for w in names[1]} == {"G", "T"}
    )
    listed = parse_template(["ATG", None, ["TAA", "TAG", "TGA"]], CODONS, distribution)
    assert listed.sum(1).tolist() == [1, 64, 3]
    assert (parse_template(["ATG", "NNN", "TAATAGTGA"], CODONS, distribution) == listed).all()
    assert kmers("ab", 2).allowed("ab") == (1,)
    for wrong in ("ATGNNTA", "ATG?NNTAA"):
        with pytest.raises(ValueError, match="template"):
            parse_template(wrong, CODONS, distribution)
    with pytest.raises(ValueError):
        kmers("ab", 2).allowed("aN")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kmers("dna", 1), "k: got 1, expected a whole number from 2 to 8"),
        (lambda: kmers("dna", 9), "at most 65,536 words"),
        (lambda: kmers("dna", 2.0), "k: got 2.0, expected a whole number"),
        (lambda: kmers(["Cl", "C"], 2), "letters of one character"),
        (lambda: kmers("AA", 2), "different letters"),
        (lambda: Alphabet(["AC", "AB"], "codons"), "name: got 'codons' for 'ACAB', expected words"),
        (lambda: Alphabet("ACGT", "dna 3-mers"), "expected words .* under this name"),
        (lambda: Alphabet(["C", "Xx"], "smiles"), "expected the atoms, .* under this name"),
        (lambda: resolve_alphabet("protein 5-mers"), "65,536"),
        (lambda: resolve_alphabet("smiles", []), "0 letters of SMILES"),
        (lambda: resolve_alphabet("smiles", ["C"]), "1 letters of SMILES"),
    ],
)
def test_wrong_alphabets(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- SMILES -----------------------------------------------------------------------------------------------------------

# The expression as published.
SCHWALLER = re.compile(
    r"(\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>|\*|\$|\%[0-9]{2}|[0-9])"
)


def test_smiles_tokens_equal_the_published_regular_expression():
    alphabet = resolve_alphabet("SMILES", MOLECULES)
    assert alphabet.name == "smiles"
    assert set(alphabet.letters) == {letter for m in MOLECULES for letter in SCHWALLER.findall(m)}
    assert {"Br", "Cl", "[C@@H]", "[nH]", "[Na+]", "%12", "\\"} <= set(alphabet.letters)
    for m in MOLECULES:
        assert alphabet.split(m) == SCHWALLER.findall(m) and "".join(alphabet.split(m)) == m
    data = prepare(MOLECULES, alphabet="smiles")
    assert data.alphabet == alphabet and data.alphabet.decode(data.tokens, data.lengths) == MOLECULES
    again = Alphabet.from_dict(json.loads(json.dumps(alphabet.to_dict())))
    assert again == alphabet and again.split("CCl[nH]") == ["C", "Cl", "[nH]"]
    assert data.notes == ()  # nothing was guessed


def test_unseen_molecules_use_known_tokens():
    alphabet = resolve_alphabet("smiles", ["CCO", "c1cc1"])
    for m, letter, position in (("CCl", "Cl", 2), ("CC[nH]", "[nH]", 3), ("CCx", "x", 3), ("C%11", "%11", 2)):
        with pytest.raises(AlphabetError, match=re.escape(f"got {letter!r} at position {position}")):
            alphabet.encode([m])
    with pytest.raises(ValueError, match=r"X\[1\]: got ' ' at position 2, .*correct the SMILES"):
        prepare(["CCO", "C C"], alphabet="smiles")


def test_real_molecules_round_trip(data_dir):
    with open(data_dir / "smiles_moses60k.csv") as file:
        molecules = [row["seq"] for row in csv.DictReader(file)][:5000]
    data = prepare(molecules, alphabet="smiles")
    assert {"Cl", "Br", "[nH]"} <= set(data.alphabet.letters) and len(data.alphabet) < 40
    assert [data.alphabet.split(m) for m in molecules[:200]] == [SCHWALLER.findall(m) for m in molecules[:200]]
    assert data.alphabet.decode(data.tokens, data.lengths) == molecules


# -- whole models -----------------------------------------------------------------------------------------------------


def random_rows(letters, lengths=(4, 5, 6), n=30):
    rng = np.random.default_rng(1)
    return ["".join(rng.choice(list(letters), k)) for k in rng.choice(lengths, n)]


TEXT = "abcdefghijklmnopqrstuvwxyz "
KINDS = {
    "dna": ("auto", random_rows("ACGT"), DNA.letters),
    "rna": ("rna", random_rows("ACGU"), RNA.letters),
    "protein": ("protein", random_rows(PROTEIN.letters), PROTEIN.letters),
    "letters": ("()CNO=1", random_rows("()CNO=1"), tuple("()CNO=1")),
    "smiles": ("smiles", MOLECULES * 5, resolve_alphabet("smiles", MOLECULES).letters),
    "text": (TEXT, random_rows(TEXT[:-1]), tuple(TEXT)),
    "words": (kmers("ACGT", 2), random_rows(kmers("ACGT", 2).letters), kmers("ACGT", 2).letters),
    "named words": ("rna 2-mers", random_rows(kmers("rna", 2).letters), kmers("rna", 2).letters),
    "codons": ("codons", random_rows(CODONS.letters), CODONS.letters),
    "fixed codons": ("codons", random_rows(CODONS.letters, (5,)), CODONS.letters),
    "many": (Alphabet([chr(0x4E00 + i) for i in range(300)]), random_rows([chr(0x4E00 + i) for i in range(300)]), None),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_alphabet_fits_generates_and_reloads(kind, tmp_path):
    spec, X, letters = KINDS[kind]
    settings = {"width": 8, "depth": 1, "epochs": 1, "batch_size": 16, "savepath": None, "verbose": 0}
    model = MaskedDiffusion(alphabet=spec, **settings).fit(X)
    assert letters is None or model.alphabet_.letters == letters
    model.save(tmp_path / "m.safetensors")
    loaded = seqdiff.load(tmp_path / "m.safetensors")
    assert loaded.alphabet_ == model.alphabet_
    longest = model.length_distribution_.max_length
    for each in (model, loaded):
        written = each.generate(20, random_state=0)
        assert written == model.generate(20, random_state=0)
        pieces = [each.alphabet_.split(s) for s in written]
        assert all(set(p) <= set(model.alphabet_.letters) and 1 <= len(p) <= longest for p in pieces)
        assert (np.array([len(p) for p in pieces]) == longest).all() or not model.length_distribution_.fixed
        scores = each.score_samples(X)
        assert np.isfinite(scores).all() and (scores == model.score_samples(X)).all()
        first = [model.alphabet_.letters[1]] + [None] * (longest - 1)
        fixed = each.generate(5, template=first, random_state=1)
        assert all(s.startswith(first[0]) for s in fixed)
    assert loaded.get_params()["alphabet"] == spec
    if not model.length_distribution_.fixed:
        assert {len(model.alphabet_.split(s)) for s in model.generate(4, length=3, random_state=0)} == {3}


@pytest.mark.parametrize("letters", [300, 70_000])
def test_token_dtypes_are_supported_by_torch(letters):
    data = prepare(["\u4e00\u4e01"], alphabet=[chr(0x10000 + i) for i in range(letters - 2)] + ["\u4e00", "\u4e01"])
    x0 = Vocabulary(data.alphabet, LengthDistribution.fit(data.lengths)).batch(data, torch.device("cpu")).x0
    assert torch.where(x0 > letters - 2, x0, 0)[[0]].tolist() == [[0, letters - 1]]


def test_bits_are_per_letter_of_the_alphabet():
    """A uniform model pays log2 of the number of words for each word."""
    X = random_rows(CODONS.letters, (5,), 40)
    model = MaskedDiffusion(alphabet="codons", width=8, depth=1, epochs=1, lr=1e-9, savepath=None, verbose=0).fit(X)
    assert abs(model.evaluations_["bits_per_letter"][-1] - 6.0) < 0.6
    assert abs(-model.score(X) / 5 / np.log(2) - 6.0) < 0.6


# -- x ----------------------------------------------------------------------------------------------------------------


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


def test_normalize_keeps_spaces_that_are_letters():
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


def test_longest_letter_is_matched_first():
    for letters in (["C", "Cl", "l"], ["l", "Cl", "C"]):
        alphabet = Alphabet(letters)
        tokens, lengths = alphabet.encode(["CClCl", "lC"])
        assert [[letters[t] for t in row[:n]] for row, n in zip(tokens, lengths, strict=True)] == [
            ["C", "Cl", "Cl"],
            ["l", "C"],
        ]


def test_decode_refuses_invalid_tokens():
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
def test_invalid_alphabets_are_refused(letters, name, message):
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
def test_alphabet_is_guessed_from_sequences(sequences, name):
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
