"""Ready rewards against slow obvious versions, sums of them, and in the sampler."""

import re
import sys
from itertools import product
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from Bio import motifs

from seqdiff import MaskedDiffusion, SequenceClassifier, SequenceRegressor
from seqdiff.data import DNA
from seqdiff.errors import InputError
from seqdiff.guidance import Reward
from seqdiff.rewards import GC, PSSM, Composition, FoldingEnergy, Gap, MotifCount, Predicted

BACKGROUND = {"A": 0.35, "C": 0.15, "G": 0.2, "T": 0.3}
COUNTS = np.array([[1, 0, 2, 27], [26, 0, 3, 1], [2, 5, 3, 20], [19, 1, 6, 4], [16, 4, 0, 10]])


def random_sequences(seed, n=60, letters="ACGT", lengths=(0, 40)):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(letters), size=rng.integers(*lengths))) for _ in range(n)]


def slow_bits(counts, background):
    """Log-odds in bits of counts with 0.1 pseudocounts, position by position."""
    rows = [{b: counts[i][j] + 0.1 * background[b] for j, b in enumerate("ACGT")} for i in range(len(counts))]
    return [{b: np.log2(row[b] / sum(row.values()) / background[b]) for b in "ACGT"} for row in rows]


def slow_matches(sequence, bits, threshold, strands=2):
    found = 0
    for start in range(len(sequence) - len(bits) + 1):
        window = sequence[start : start + len(bits)]
        strings = [window, DNA.reverse_complement([window])[0]][:strands]
        found += any(sum(round(b[x], 3) for b, x in zip(bits, s, strict=True)) >= threshold - 1e-9 for s in strings)
    return found


# Motifs.


@pytest.mark.parametrize("strands", [1, 2])
def test_matches_of_a_matrix_are_those_of_loops(strands):
    score = MotifCount(COUNTS, p_value=0.02, background=BACKGROUND, both_strands=strands == 2)
    bits = slow_bits(COUNTS, BACKGROUND)
    sequences = random_sequences(1)
    slow = [slow_matches(s, bits, score.threshold_, strands) for s in sequences]
    assert score(sequences).tolist() == slow and sum(slow) > 5


def test_matches_of_a_matrix_are_those_of_biopython():
    motif = motifs.create(["TATAAT", "TATGAT", "TACAAT", "TATATT", "TAAAAT", "GATAAT"])
    pseudocounts = {b: 0.1 * p for b, p in BACKGROUND.items()}
    pssm = motif.counts.normalize(pseudocounts).log_odds(BACKGROUND)
    sequences = random_sequences(2, lengths=(6, 60))
    score = MotifCount(motif, threshold=3.0, background=BACKGROUND, both_strands=False)
    slow = [int((np.atleast_1d(pssm.calculate(s)) >= 3.0).sum()) for s in sequences]
    assert score(sequences).tolist() == slow and sum(slow) > 5


@pytest.mark.parametrize("p_value", [0.3, 0.05, 0.004])
def test_threshold_is_the_least_of_its_p_value_by_enumeration(p_value):
    """Over all 4^5 windows; a score that is reached below the threshold is too likely."""
    score = MotifCount(COUNTS, p_value=p_value, background=BACKGROUND)
    bits = slow_bits(COUNTS, BACKGROUND)
    words = ["".join(word) for word in product("ACGT", repeat=5)]
    p = np.array([np.prod([BACKGROUND[x] for x in word]) for word in words])
    s = np.array([sum(round(b[x], 3) for b, x in zip(bits, word, strict=True)) for word in words])
    above = s >= score.threshold_ - 1e-9
    assert score.p_value_ == pytest.approx(p[above].sum(), rel=1e-9) and score.p_value_ <= p_value
    assert p[s >= s[~above].max() - 1e-9].sum() > p_value


def test_consensus_matches_are_those_of_a_pattern_on_both_strands():
    sequences = random_sequences(3, n=300)
    assert MotifCount("TRN")(sequences).tolist() == [
        sum(bool(re.match("T[AG]|.[CT]A", s[i : i + 3])) for i in range(len(s) - 2)) for s in sequences
    ]
    rna = [s.replace("T", "U") for s in sequences]
    assert (MotifCount("uar")(rna) == MotifCount("TAR")(sequences)).all()


def test_mismatches_of_a_consensus_by_enumeration():
    words = ["".join(word) for word in product("ACGT", repeat=4)]
    score = MotifCount("TATS", threshold=-1, both_strands=False)
    slow = [sum(x not in set(y) for x, y in zip(w, ("T", "A", "T", "GC"), strict=True)) <= 1 for w in words]
    assert score(words).tolist() == slow and score.p_value_ == np.mean(slow)
    assert MotifCount("TATS", p_value=np.mean(slow)).threshold_ == -1


def test_a_palindrome_counts_once():
    assert MotifCount("GAATTC")(["GAATTCGAATTC", "AAAA"]).tolist() == [2, 0]


def test_the_same_matrix_in_every_form():
    sequences = random_sequences(4)
    table = pd.DataFrame(COUNTS, columns=list("ACGT"))
    wanted = MotifCount(COUNTS, p_value=0.01)
    forms = [table[list("TGCA")], table.T, table.rename(columns={"T": "U"}), table.T.iloc[::-1], COUNTS.tolist()]
    for form in forms:
        assert (MotifCount(form, p_value=0.01)(sequences) == wanted(sequences)).all()
    bits = pd.DataFrame(slow_bits(COUNTS, dict.fromkeys("ACGT", 0.25)))
    assert (MotifCount(bits, threshold=wanted.threshold_)(sequences) == wanted(sequences)).all()
    twenty = np.array([[20, 0, 0, 0], [5, 5, 5, 5], [0, 10, 10, 0]])
    assert MotifCount(twenty / 20, p_value=0.2).threshold_ == MotifCount(twenty, p_value=0.2).threshold_
    assert wanted(sequences).sum() > 10


def test_jaspar_id_is_looked_up_by_pyjaspar(monkeypatch):
    class Database:
        release = "JASPAR2026"

        def fetch_motif_by_id(self, identifier):
            return motifs.create(["ACG", "ACG", "ACT"]) if identifier == "MA0001.1" else None

    monkeypatch.setitem(sys.modules, "pyjaspar", SimpleNamespace(jaspardb=Database))
    assert MotifCount("MA0001.1", p_value=1 / 64)(["ACGATT", "TTCGTA", "TTTT"]).tolist() == [1, 1, 0]
    with pytest.raises(InputError, match="motif: got 'MA0009.9', expected an id of JASPAR2026"):
        MotifCount("MA0009.9")
    monkeypatch.setitem(sys.modules, "pyjaspar", None)
    with pytest.raises(InputError, match="pip install pyjaspar"):
        MotifCount("MA0001.1")


# Composition.


def test_gc_against_counting_one_by_one():
    sequences = random_sequences(5, lengths=(1, 30))
    share = [sum(x in "GC" for x in s) / len(s) for s in sequences]
    assert GC(0.4)(sequences) == pytest.approx([-abs(g - 0.4) for g in share])
    between = [0.0 if 0.4 <= g <= 0.6 else -min(abs(g - 0.4), abs(g - 0.6)) for g in share]
    assert GC((0.4, 0.6))([s.lower() for s in sequences]) == pytest.approx(between)


def test_composition_against_counting_one_by_one():
    """Overlaps count; no motif is found across the end of a sequence."""
    sequences = [*random_sequences(6, letters="ACé\U0001f600"), "AAA", "A", "", "CA", "AC"]
    weights = {"A": -1.0, "AA": 0.5, "Cé": 2.0, "\U0001f600": 0.25}
    slow = [sum(w * sum(s.startswith(m, i) for i in range(len(s))) for m, w in weights.items()) for s in sequences]
    assert Composition(weights)(sequences) == pytest.approx(slow)


def test_pssm_against_loops():
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(6, 5))
    matrix[2, 3] = -np.inf
    sequences = ["".join(rng.choice(list("ACDEF"), size=6)) for _ in range(50)]
    slow = [sum(matrix[i, "ACDEF".index(x)] for i, x in enumerate(s)) for s in sequences]
    assert PSSM(matrix, "ACDEF")(sequences) == pytest.approx(slow)
    table = pd.DataFrame(matrix, columns=list("ACDEF"))
    assert PSSM(table[list("FADCE")])(sequences) == pytest.approx(slow)
    assert 0 < np.isneginf(slow).sum() < 50


# Predictions.


class OneOf:
    """Predicts the share of a letter, or whether it is more than half."""

    def __init__(self, letter):
        self.letter = letter

    def predict(self, X):
        return [x.count(self.letter) / len(x) for x in X]


class ClassOf(OneOf):
    classes_ = np.array(["few", "many"])

    def predict_proba(self, X):
        many = np.array(self.predict(X))
        return np.column_stack([1 - many, many])


def test_predicted_values_and_their_gap():
    sequences = ["AAAT", "TTTT", "AACC"]
    assert Predicted(OneOf("A"))(sequences).tolist() == [0.75, 0, 0.5]
    assert Gap(OneOf("A"), OneOf("T"))(sequences).tolist() == [0.5, -1, 0.5]
    log_p = Predicted(ClassOf("A"), "many")(sequences)
    assert log_p == pytest.approx([np.log(0.75), np.log(np.finfo(np.float32).tiny), np.log(0.5)])
    few = Gap(ClassOf("A"), ClassOf("T"), "few")(["AATC"])
    assert few == pytest.approx([np.log(0.5) - np.log(0.75)])


def test_predicted_by_the_predictors_of_seqdiff():
    X = ["ACGTAC", "ACGTTC", "TTTTAC", "TTTTAG"] * 3
    classifier = SequenceClassifier(width=8, depth=1, epochs=1).fit(X, ["c", "c", "t", "t"] * 3)
    regressor = SequenceRegressor(width=8, depth=1, epochs=1).fit(X, [s.count("A") for s in X])
    assert Predicted(classifier, "t")(X) == pytest.approx(np.log(classifier.predict_proba(X)[:, 1]))
    assert (Predicted(regressor)(X) == regressor.predict(X)).all()
    with pytest.raises(InputError, match="label: got None, expected the class that is wanted, 'c' or 't'; name one"):
        Predicted(classifier)
    with pytest.raises(InputError, match="label: got 't', expected None"):
        Predicted(regressor, "t")
    with pytest.raises(InputError, match="a SequenceClassifier that is not fitted"):
        Predicted(SequenceClassifier(), "t")


# Folding.


def test_folding_energy_prefers_viennarna(monkeypatch):
    vienna = ModuleType("RNA")
    vienna.md = lambda: SimpleNamespace(temperature=37.0)
    vienna.fold_compound = lambda sequence, details: SimpleNamespace(
        mfe=lambda: ("", -float(sequence.count("U")) - details.temperature / 100)
    )
    monkeypatch.setitem(sys.modules, "RNA", vienna)
    assert FoldingEnergy(temperature=20.0)(["ACgtt", ""]).tolist() == [-2.2, 0]
    assert FoldingEnergy(-2.0, temperature=20.0)(["ACGTT", "A"]) == pytest.approx([-0.2, -1.8])


def test_folding_energy_by_seqfold(monkeypatch):
    seqfold = pytest.importorskip("seqfold")
    monkeypatch.setitem(sys.modules, "RNA", None)
    sequences = ["GGGCAAAAGCCC", "GGGCUUUUGCCC", "AAAAAAAA", "A"]
    energy = FoldingEnergy()(sequences)
    assert energy[:2].tolist() == [seqfold.dg(s, temp=37.0) for s in sequences[:2]]
    assert (energy[:2] < -2).all() and energy[2:].tolist() == [0, 0]
    assert (FoldingEnergy()([s.replace("U", "T") for s in sequences]) == energy).all()
    assert FoldingEnergy(temperature=60.0)(sequences)[0] > energy[0]
    monkeypatch.setitem(sys.modules, "seqfold", None)
    with pytest.raises(InputError, match=r'pip install "seqdiff\[design\]"'):
        FoldingEnergy()


# Sums.


def test_sums_are_weighted_sums_of_their_terms():
    sequences = random_sequences(8, lengths=(1, 30))
    gc, tata, a = GC(0.5), MotifCount("TA"), Composition({"A": 1.0})
    score = np.float32(2.0) * gc + (tata - a * 0.5) * 3 - (-gc)
    wanted = 2 * gc(sequences) + 3 * tata(sequences) - 1.5 * a(sequences) + gc(sequences)
    assert score(sequences) == pytest.approx(wanted)
    parts = score.parts(sequences)
    assert parts.sum(axis=1).to_numpy() == pytest.approx(wanted)
    assert parts.columns.tolist() == [
        "2.0 * GC(0.5)",
        "3.0 * MotifCount('TA')",
        "-1.5 * Composition({'A': 1.0})",
        "GC(0.5)",
    ]
    assert repr(gc - 2 * tata) == "GC(0.5) - 2.0 * MotifCount('TA')"


def test_impossible_stays_impossible_with_any_weight():
    never = PSSM([[0.0, -np.inf]], "AC")
    for weight in (1.0, -1.0, 0.0):
        assert (weight * never + GC(0.5))(["A", "C"]).tolist() == [-0.5, -np.inf]


def test_a_sum_is_one_function_of_a_reward():
    sequences = random_sequences(9, lengths=(1, 30))
    gc, tata = GC(0.5), MotifCount("TA")
    one, several = Reward(gc + 2 * tata, 3.0), Reward([gc, tata], 3.0, weights=[1.0, 2.0])
    assert one.rewards(sequences).tolist() == pytest.approx(several.rewards(sequences).tolist())


def test_guided_samples_have_a_high_score_and_other_letters_are_refused():
    model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    rng = np.random.default_rng(0)
    model.fit(["".join(row) for row in rng.choice(list("ACGT"), size=(50, 8))])
    score = GC(1.0) - 0.5 * MotifCount("GC", both_strands=False)
    plain = model.generate(32, random_state=0)
    guided = model.generate(32, guidance=Reward(score, strength=20.0, particles=16), random_state=0)
    assert score(guided).mean() > score(plain).mean() + 0.3
    protein = MaskedDiffusion(alphabet="protein", width=8, depth=1, epochs=1, savepath=None, verbose=0)
    protein.fit(["MKVLHDEW"] * 10)
    with pytest.raises(InputError, match=r"GC\(1\): got '[A-Z]' at position 1 of sequence 0"):
        protein.generate(2, guidance=Reward(score, strength=1.0), random_state=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GC(0.5)([]), "sequences: got an empty list, expected at least one sequence; give some"),
        (lambda: GC(0.5)("ACGT"), "sequences: got a str, expected a list of str; put it into a list"),
        (lambda: GC(0.5)(["AC", 3]), r"sequences\[1\]: got an int, expected a str"),
        (lambda: GC(0.5)(["AC", ""]), "got sequence 1 without letters"),
        (lambda: MotifCount("TA")(["AC", "AMT"]), "got 'M' at position 2 of sequence 1, expected A, C, G and T alone"),
        (lambda: PSSM([[0, 1]], "AC")(["AC"]), "got 2 letters in sequence 0, expected 1"),
        (lambda: PSSM([[0, 1]], "AC")(["D"]), "got 'D' at position 1 of sequence 0, expected the letters AC"),
        (lambda: Composition({"AUG": -1.0})(["ATG"]), "got 'AUG', expected motifs with T"),
        (lambda: Composition({"C": -np.inf}), "got -inf for 'C', expected a finite number"),
        (lambda: GC((0.6, 0.4)), r"target: got \(0.6, 0.4\), expected a share from 0 to 1"),
        (lambda: GC(np.nan), "target: got nan"),
        (lambda: MotifCount("TATAAT", p_value=1e-4), "p_value: got 0.0001, expected at least 0.000244"),
        (lambda: MotifCount("TATAAT", threshold=1), "threshold: got 1, expected at most 0"),
        (lambda: MotifCount("TATAAT", threshold=0, p_value=0.1), "got 0 beside p_value=0.1, expected one of the two"),
        (lambda: MotifCount("WORD"), "motif: got 'WORD', expected letters and IUPAC codes"),
        (lambda: MotifCount(np.zeros((4, 3))), r"motif: got shape \(4, 3\)"),
        (lambda: MotifCount(pd.DataFrame({"A": [1]})), r"got the columns \['A'\]"),
        (lambda: MotifCount([[1, 0, 0, 0]], pseudocount=0.0), "got a letter that never occurs, with pseudocount=0.0"),
        (lambda: MotifCount("TA", background=[0.5, 0.5]), "background: got"),
        (lambda: Predicted(GC), "predictor: got the class GC, expected a fitted model"),
        (lambda: np.nan * GC(0.5), "weight: got nan"),
    ],
)
def test_refusals_are_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()
