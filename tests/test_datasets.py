"""Simulated promoters (exact distribution, samples) and natural promoters (download, parsing)."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest

from seqdiff.datasets import DatasetUnavailable, fetch_ecoli_promoters, load_sigma70, remote, sigma70_log_prob
from seqdiff.datasets.sigma70 import PromoterModel, sigma70_model


def rows(rng, width, ones=0.6):
    """Random letter distributions, far from uniform."""
    return rng.dirichlet(np.full(4, ones), size=width)


def tiny_model(**changes):
    """Eight letters, four placements of the hexamers (here of one letter each), times extended, times UP."""
    rng = np.random.default_rng(5)
    parameters = dict(
        length=8,
        minus35=rows(rng, 1),
        minus10=rows(rng, 2),
        extended=rows(rng, 1),
        up=rows(rng, 1),
        start=rows(rng, 1),
        background=rows(rng, 4, 2.0),
        spacers={1: 0.3, 2: 0.7},
        distances={1: 0.6, 2: 0.4},
        extended_share=0.35,
        up_share=0.6,
        up_gap=0,
    )
    return PromoterModel(**{**parameters, **changes})


def slow_probability(model, letters):
    """Return the probability letter by letter, one hidden state after the other."""
    total = 0.0
    stationary = model.stationary()
    for (spacer, p_spacer), (distance, p_distance) in product(model.spacers.items(), model.distances.items()):
        for extended, up in product((0, 1), (0, 1)):
            p = p_spacer * p_distance
            p *= model.extended_share if extended else 1 - model.extended_share
            p *= model.up_share if up else 1 - model.up_share
            at10 = model.length - distance - len(model.minus10)
            at35 = at10 - spacer - len(model.minus35)
            distribution = {}
            for k, row in enumerate(model.minus10):
                distribution[at10 + k] = row
            for k, row in enumerate(model.minus35):
                distribution[at35 + k] = row
            for k, row in enumerate(model.start):
                distribution[model.length - len(model.start) + k] = row
            for k, row in enumerate(model.extended if extended else []):
                distribution[at10 - len(model.extended) + k] = row
            for k, row in enumerate(model.up if up else []):
                distribution[at35 - model.up_gap - len(model.up) + k] = row
            for i, letter in enumerate(letters):
                row = distribution.get(i, model.background[letters[i - 1]] if i else stationary)
                p *= row[letter]
            total += p
    return total


@pytest.fixture(scope="module")
def every_tiny_sequence():
    return np.array(list(product(range(4), repeat=8)), dtype=np.uint8)  # (65536, 8)


def test_probabilities_of_all_sequences_sum_to_one(every_tiny_sequence):
    assert np.exp(tiny_model().log_prob(every_tiny_sequence)).sum() == pytest.approx(1, abs=1e-12)


def test_log_prob_equals_the_slow_sum(every_tiny_sequence):
    model = tiny_model()
    some = every_tiny_sequence[:: 65536 // 300]
    np.testing.assert_allclose(np.exp(model.log_prob(some)), [slow_probability(model, row) for row in some], rtol=1e-10)


def test_samples_follow_the_exact_distribution(every_tiny_sequence):
    """Frequencies of the commonest sequences and the entropy, within 4.5 standard errors."""
    model, n = tiny_model(), 100_000
    tokens = model.sample(n, np.random.default_rng(0))
    powers = 4 ** np.arange(8)[::-1]
    p = np.exp(model.log_prob(every_tiny_sequence))
    counts = np.bincount(tokens @ powers, minlength=4**8)
    often = p * n > 50
    assert often.sum() > 100
    z = (counts - n * p)[often] / np.sqrt(n * p * (1 - p))[often]
    assert np.abs(z).max() < 4.5
    assert np.mean(z**2) == pytest.approx(1, abs=0.35)
    log_p = model.log_prob(tokens)
    assert log_p.mean() == pytest.approx((p * np.log(p)).sum(), abs=4.5 * log_p.std() / np.sqrt(n))


def test_real_model_agrees_with_the_slow_sum():
    model = sigma70_model()
    tokens = model.sample(20, np.random.default_rng(3))
    np.testing.assert_allclose(
        model.log_prob(tokens), np.log([slow_probability(model, row) for row in tokens]), rtol=1e-10
    )


def test_elements_have_the_published_letters():
    """With one spacer and one distance the hexamers stand still, and their letters show."""
    from dataclasses import replace

    model = replace(sigma70_model(), spacers={17: 1.0}, distances={6: 1.0}, extended_share=1.0, up_share=0.0)
    tokens = model.sample(20_000, np.random.default_rng(1))
    frequencies = np.stack([(tokens == k).mean(0) for k in range(4)], axis=1)  # (50, 4)
    np.testing.assert_allclose(frequencies[38:44], model.minus10, atol=0.015)
    np.testing.assert_allclose(frequencies[15:21], model.minus35, atol=0.015)
    consensus = "".join("ACGT"[k] for k in frequencies.argmax(1))
    assert consensus[15:21] == "TTGACA" and consensus[35:37] == "TG" and consensus[38:44] == "TATAAT"
    assert model.minus10[1, 0] == pytest.approx(106.5 / 114) and model.minus35[2, 2] == pytest.approx(88.5 / 114)


def test_published_shares():
    model = sigma70_model()
    assert max(model.spacers, key=model.spacers.get) == 17 and set(model.spacers) == {15, 16, 17, 18, 19}
    assert sum(model.spacers[s] for s in (16, 17, 18)) == pytest.approx(0.92)
    assert sum(model.distances[d] for d in (5, 6, 7)) == pytest.approx(0.75)  # the start is one letter further on


def test_variable_spacing_is_worth_bits_over_a_weight_matrix():
    """The variable spacing must be worth learning: at least 0.02 bits per base below the best independent positions."""
    tokens = sigma70_model().sample(20_000, np.random.default_rng(9))
    frequencies = np.stack([(tokens == k).mean(0) for k in range(4)], axis=1)
    weight_matrix = -(frequencies * np.log2(frequencies)).sum(1).mean()
    truth = -sigma70_model().log_prob(tokens).mean() / (50 * np.log(2))
    assert truth + 0.02 < weight_matrix < 2


def test_seeds():
    assert load_sigma70(50) == load_sigma70(50, random_state=0)
    assert load_sigma70(50, 1) != load_sigma70(50, 2)
    assert load_sigma70(0) == []
    state = np.random.get_state()[1].copy()  # noqa: NPY002  (it must not change)
    load_sigma70(5, None)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_every_sequence_has_positive_probability():
    log_p = sigma70_log_prob(["G" * 50, "c" * 50, "ACGTA" * 10])
    assert np.isfinite(log_p).all() and (log_p < 0).all()
    assert sigma70_log_prob(["acgta" * 10])[0] == log_p[2]
    assert sigma70_log_prob([]).shape == (0,)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        (["A" * 50, "A" * 49], r"sequences\[1\]: got 49 letters"),
        (["A" * 51, "A" * 49], r"sequences\[0\]: got 51 letters"),
        (["A" * 50, "A" * 20 + "N" + "A" * 29], r"sequences\[1\]: got 'N' at position 21"),
        (["A" * 49 + "\N{GREEK SMALL LETTER ALPHA}"], "at position 50"),
        ("A" * 50, "one string"),
        ([7], r"sequences\[0\]: got an int"),
    ],
)
def test_wrong_sequences_are_named(sequences, message):
    with pytest.raises(ValueError, match=message):
        sigma70_log_prob(sequences)


@pytest.mark.parametrize("n", [-1, 2.5, "ten", True])
def test_wrong_n_is_named(n):
    with pytest.raises(ValueError, match="n: got .*, expected a whole number"):
        load_sigma70(n)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 6}, "longer"),
        ({"spacers": {1: 0.5}}, "spacers: got .* sum to 0.5, expected a sum of 1"),
        ({"spacers": {0: 1.0}}, "spacers: got 0 letters, .* to hold the extension"),
        ({"distances": {0: 1.0}}, "distances: got 0 letters, .* start letters"),
        ({"minus10": np.full((2, 4), 0.3)}, "sum to 1"),
    ],
)
def test_impossible_models_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(**changes)


# -- natural promoters ------------------------------------------------------------------------------------------------


A, B, C = "A" * 50, "ACGTT" * 10, "acgtc" * 10


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No SEQDIFF_DATA, no reachable network, an empty cache."""
    monkeypatch.delenv("SEQDIFF_DATA", raising=False)
    monkeypatch.setenv("SEQDIFF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "ECOLI_URL", "http://127.0.0.1:9/promoters.csv")
    return tmp_path / "cache"


def put(folder, text, monkeypatch):
    """Lay a file where the download would be and make its SHA-256 the wanted one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / remote.ECOLI_FILE).write_bytes(text.encode())
    monkeypatch.setattr(remote, "ECOLI_SHA256", hashlib.sha256(text.encode()).hexdigest())


def test_local_file(monkeypatch, data_dir):
    monkeypatch.setenv("SEQDIFF_DATA", str(data_dir))
    promoters = fetch_ecoli_promoters()
    assert promoters.data.shape == promoters.target.shape == promoters.split.shape == (11884,)
    assert all(type(sequence) is str and len(sequence) == 50 for sequence in promoters.data[:100])
    assert set("".join(promoters.data)) == set("ACGT")
    assert len(set(promoters.data)) == 11884
    assert dict(zip(*np.unique(promoters.split.astype(str), return_counts=True), strict=True)) == {
        "train": 9508,
        "valid": 1188,
        "test": 1188,
    }
    assert np.median(promoters.target) == pytest.approx(7.10, abs=0.01)
    X, y = fetch_ecoli_promoters(return_X_y=True)
    assert (X == promoters.data).all() and (y == promoters.target).all()
    framed = fetch_ecoli_promoters(as_frame=True)
    assert list(framed.frame.columns) == ["seq", "expr", "split"] and (framed.data.to_numpy() == X).all()


def test_cached_copy_is_used(offline, monkeypatch):
    put(offline, f"seq,expr\n{A.lower()},1.5\n{B},2.25\n", monkeypatch)
    X, y = fetch_ecoli_promoters(return_X_y=True)
    assert X.tolist() == [A, B] and y.tolist() == [1.5, 2.25]


def test_data_home_is_used(offline, monkeypatch, tmp_path):
    put(tmp_path / "elsewhere", f"seq,expr\n{A},1.5\n", monkeypatch)
    assert fetch_ecoli_promoters(return_X_y=True, data_home=tmp_path / "elsewhere")[0].tolist() == [A]
    with pytest.raises(DatasetUnavailable):
        fetch_ecoli_promoters()


def test_folder_of_seqdiff_data_comes_first(offline, monkeypatch, tmp_path):
    put(offline, f"seq,expr\n{A},1.5\n", monkeypatch)
    (tmp_path / "ecoli50_expr.csv").write_text(f"seq,expr,split\n{B},3,test\n")
    monkeypatch.setenv("SEQDIFF_DATA", str(tmp_path))
    promoters = fetch_ecoli_promoters()
    assert promoters.data.tolist() == [B] and promoters.split.tolist() == ["test"]


@pytest.mark.parametrize(
    "text",
    [
        f"{A},1.5\n{B},2.5\n{C},3.5\n",
        f"1.5,{A}\n2.5,{B}\n3.5,{C}",
        f"id,expression,sequence\r\nx,1.5,{A}\r\ny,2.5,{B}\r\nz,3.5,{C}\r\n",
        f"seq,expr\n{A},1.5\n{B},2.5\n{A},99\n{C},3.5\n",
    ],
)
def test_all_csv_layouts_are_parsed(offline, monkeypatch, text):
    put(offline, text, monkeypatch)
    X, y = fetch_ecoli_promoters(return_X_y=True)
    assert X.tolist() == [A, B, C.upper()] and y.tolist() == [1.5, 2.5, 3.5]


def test_split_is_made_where_the_file_has_none(offline, monkeypatch):
    from seqdiff.data import cluster_split

    rng = np.random.default_rng(0)
    sequences = ["".join(row) for row in rng.choice(list("ACGT"), size=(40, 50))]
    put(offline, "seq,expr\n" + "".join(f"{sequence},1\n" for sequence in sequences), monkeypatch)
    assert fetch_ecoli_promoters().split.tolist() == list(cluster_split(sequences))


def test_offline_error_states_a_cure(offline):
    with pytest.raises(DatasetUnavailable, match="SEQDIFF_DATA") as caught:
        fetch_ecoli_promoters()
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, OSError)
    message = str(caught.value)
    assert "\n" not in message and remote.ECOLI_URL in message and str(offline) in message
    assert not list(offline.glob("*.csv"))


def test_copies_with_a_wrong_checksum_are_refused(offline, monkeypatch):
    """A wrong SHA-256 asks for a new download, which fails here: the tampered copy must not be returned."""
    put(offline, f"seq,expr\n{A},1.5\n", monkeypatch)
    monkeypatch.setattr(remote, "ECOLI_SHA256", "0" * 64)
    with pytest.raises(DatasetUnavailable):
        fetch_ecoli_promoters()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "could not be read"),
        ("seq,expr\nhello,1\nyou,2\n", "expected a column of 50-letter"),
        (f"seq,expr\n{A},1\n{B},2\n{A[:-1]}N,3\n", "line 4: got"),
        (f"seq,expr\n{A},1\n{B},none\n{C},3\n{A[:-1]}C,4\n", "line 3: got"),
    ],
)
def test_bad_files_are_named(offline, monkeypatch, text, message):
    put(offline, text, monkeypatch)
    with pytest.raises(ValueError, match=message):
        fetch_ecoli_promoters()
