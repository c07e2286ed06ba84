"""Stores: what they hold is what `prepare` reads, a fit on one is a fit on the file, and damage is seen."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from all_generators import GENERATORS
from click.testing import CliRunner
from small_models import SMALL, mixed_lengths, random_sequences, refuses, sequences, tiny

import seqdiff.estimators.generator as generator
from seqdiff import Autoregressive, MaskedDiffusion
from seqdiff.cli.app import main
from seqdiff.data import Store, StoredData, hold_out_stored, prepare, prepare_store, read_records, streaming
from seqdiff.data import files as reading_files
from seqdiff.data.store import marks_of
from seqdiff.training import trainer

PU = "ACGT"


@pytest.fixture
def pieces(monkeypatch):
    """Read files in pieces of a few lines."""
    monkeypatch.setattr(reading_files, "PIECE", 1 << 8)
    monkeypatch.setattr(reading_files, "TEXT_PIECE", 1 << 9)
    monkeypatch.setattr(streaming, "ROWS_TOGETHER", 7)


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"name": [f"r{i}" for i in range(n)], "sequence": mixed_lengths(n, 30)})
    frame["cell"] = rng.choice(["pu1", "ctcf", "none"], n)
    frame["mic"] = rng.random(n).round(3)
    frame["count"] = rng.integers(0, 5, n)
    frame.loc[3, ["cell", "mic"]] = [None, np.nan]
    return frame


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def fasta(items: list[str], width: int = 12) -> str:
    lines = [[s[i : i + width] for i in range(0, len(s), width)] for s in items]
    return "".join(f">s{i} of mine\n" + "".join(f"{line}\n" for line in part) for i, part in enumerate(lines))


FILES = {
    "a.txt": lambda: "\n".join(mixed_lengths(90, 30)) + "\n\n",
    "header.txt": lambda: "sequence\r\n" + "\r\n".join(mixed_lengths(90, 30)),
    "mac.txt": lambda: "\r".join(mixed_lengths(90, 30)),
    "a.fasta": lambda: fasta(mixed_lengths(90, 30)),
    "a.fa.gz": lambda: fasta(mixed_lengths(90, 30)),
    "lower.fasta": lambda: fasta(mixed_lengths(90, 30)).replace("A", "a"),
    "a.fastq": lambda: "".join(f"@r{i}\n{s}\n+\n{'I' * len(s)}\n" for i, s in enumerate(mixed_lengths(90, 30))),
    "a.csv": lambda: table().to_csv(index=False),
    "a.tsv.gz": lambda: table().to_csv(index=False, sep="\t"),
    "quoted.csv": lambda: table().assign(name='two\nlines, "quoted"').to_csv(index=False),
    "decimal.csv": lambda: table().to_csv(index=False, sep=";", decimal=","),
    "long.txt": lambda: "\n".join(sequences(3, 2000)),
}


@pytest.mark.parametrize("name", FILES)
def test_store_holds_what_prepare_reads(tmp_path, pieces, name):
    path = write(tmp_path / name, FILES[name]())
    labels = ["cell", "mic", "count"] if ".csv" in name or ".tsv" in name else None
    expected = prepare(path, labels)
    store = prepare_store(path, tmp_path / "a.store", labels, verbose=0)
    rows = np.arange(store.n)
    assert store.strings(rows) == expected.sequences and store.n_read == expected.n_read
    assert store.alphabet == expected.alphabet and store.source == expected.source
    assert np.array_equal(store.lengths, expected.lengths)
    assert np.array_equal(store.tokens(rows), expected.tokens)
    for column in labels or []:
        mine, whole = store.y(column), prepare(path, column).y
        assert mine.dtype == whole.dtype
        np.testing.assert_array_equal(mine, whole)
    again = prepare(store.path, labels)
    assert again.sequences == expected.sequences and again.digest() == expected.digest()


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_parquet_iterators_and_lists_make_the_same_store(tmp_path, monkeypatch, rows):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(streaming, "ROWS_TOGETHER", rows)
    frame = table()
    frame.to_parquet(tmp_path / "a.parquet")
    given = {
        "parquet": (tmp_path / "a.parquet", "mic"),
        "frame": (frame, "mic"),
        "list": (frame.sequence.tolist(), frame.mic.to_numpy()),
        "iterator": (iter(frame.sequence.tolist()), frame.mic.to_numpy()),
    }
    stores = {n: prepare_store(X, tmp_path / n, y, verbose=0) for n, (X, y) in given.items() if n != "parquet"}
    stores["parquet"] = prepare_store(*[given["parquet"][0], tmp_path / "parquet.store", "mic"], verbose=0)
    assert len({store.digest for store in stores.values()}) == 1
    for name, store in stores.items():
        np.testing.assert_array_equal(store.y("mic" if name in ("parquet", "frame") else "y"), frame.mic)


WRONG = {
    "a.txt": (lambda s: "\n".join([*s[:70], "ACGJ", *s[70:]]), "line 71"),
    "a.fasta": (lambda s: fasta([*s[:70], "ACGJ", *s[70:]]), "record 's70' (line "),
    "a.csv": (lambda s: "sequence,x\n" + "\n".join(f"{t},1" for t in [*s[:70], "ACGJ", *s[70:]]), "line 72"),
    "width.csv": (lambda s: "sequence,x\n" + "\n".join([*(f"{t},1" for t in s), "ACGT"]), "line 92: got 1 field"),
    "a.fastq": (lambda s: "".join(f"@r{i}\n{t}\n+\n{'I' * len(t)}\n" for i, t in enumerate([*s, "ACGJ"])), "'r90'"),
    "cut.fastq": (lambda s: "".join(f"@r{i}\n{t}\n+\n{'I' * len(t)}\n" for i, t in enumerate(s))[:-9], "as FASTQ"),
    "a.fa.gz": (lambda s: fasta([*s[:70], "ACGJ", *s[70:]]), "record 's70' (line "),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_line_and_nothing_is_left(tmp_path, pieces, name):
    text, words = WRONG[name][0](mixed_lengths(90, 30)), WRONG[name][1]
    path = write(tmp_path / name, text)
    said = refuses(lambda: prepare(path), words)
    assert refuses(lambda: prepare_store(path, tmp_path / "a.store", verbose=0), words) == said
    assert os.listdir(tmp_path) == [name]


def test_iterators_name_the_item(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_TOGETHER", 7)
    items = iter([*sequences(20), "ACGJ"])
    refuses(lambda: prepare_store(items, tmp_path / "a.store", verbose=0), "X[20]: got 'J'")


def test_ambiguous_sequences_and_their_labels_are_left_out(tmp_path, pieces):
    items = mixed_lengths(90, 30)
    items[5] = items[80] = "ACNT"
    path = write(tmp_path / "a.csv", "sequence,x\n" + "\n".join(f"{s},{i}" for i, s in enumerate(items)))
    store = prepare_store(path, tmp_path / "a.store", "x", ambiguous="drop", verbose=0)
    assert store.y("x").tolist() == [i for i in range(90) if i not in (5, 80)] and store.n_read == 90
    assert any("2 of 90 sequences were left out" in note for note in store.notes)


def test_long_runs_of_ambiguous_sequences_are_left_out(tmp_path, pieces):
    items = [*["N" * 20] * 100, *sequences(5, 20), *["N" * 20] * 100]
    path = write(tmp_path / "a.csv", "sequence,x\n" + "\n".join(f"{s},{i}" for i, s in enumerate(items)))
    store = prepare_store(path, tmp_path / "a.store", "x", alphabet="dna", ambiguous="drop", verbose=0)
    assert store.strings(np.arange(store.n)) == items[100:105] and store.y("x").tolist() == [*range(100, 105)]
    write(path, "sequence,x\n" + "\n".join(["NNNN,1"] * 200))
    refuses(
        lambda: prepare_store(path, tmp_path / "b.store", "x", alphabet="dna", ambiguous="drop", verbose=0),
        "no sequence that is left",
        longest=900,
    )


def test_very_many_labels_are_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS_TOGETHER", 7)
    monkeypatch.setattr(streaming, "MOST_CLASSES", 10)
    labels = [*(str(i / 8) for i in range(40)), "", "n.d.", "1e3"]
    text = "sequence,x\n" + "\n".join(f"{s},{x}" for s, x in zip(sequences(43), labels, strict=True))
    monkeypatch.setattr(reading_files, "PIECE", 1 << 6)
    monkeypatch.setattr(reading_files, "TEXT_PIECE", 1 << 7)
    path = write(tmp_path / "a.csv", text)
    store = prepare_store(path, tmp_path / "a.store", "x", verbose=0)
    np.testing.assert_array_equal(store.y("x"), prepare(path, "x").y)
    write(path, text + "\nACGT,strong")
    refuses(lambda: prepare_store(path, tmp_path / "b.store", "x", verbose=0), "line 45", "'strong'", "a number")


def test_smiles_have_the_letters_of_all(tmp_path, pieces):
    path = write(tmp_path / "a.txt", "\n".join(["CCO"] * 300 + ["C[nH]Br"]))
    store = prepare_store(path, tmp_path / "a.store", alphabet="smiles", verbose=0)
    assert store.alphabet.letters == ("Br", "C", "O", "[nH]")
    items = iter(["CCO"])
    refuses(lambda: prepare_store(items, tmp_path / "b.store", alphabet="smiles", verbose=0), "once only")


@pytest.mark.parametrize("seed", range(5))
def test_tokens_of_any_rows(tmp_path, seed):
    items = random_sequences(seed, lengths=(1, 30))
    store = prepare_store(items, tmp_path / "a.store", alphabet="dna", verbose=0)
    data = prepare(items, alphabet="dna")
    rng = np.random.default_rng(seed)
    for n in (1, 3, 40, 90):
        rows = rng.integers(0, len(items), n)
        longest = int(data.lengths[rows].max())
        assert np.array_equal(store.tokens(rows), data.tokens[rows][:, :longest])
        for width in (longest, 29, 64):
            wide = np.zeros((n, width), np.uint8)
            cut = min(width, data.tokens.shape[1])
            wide[:, :cut] = data.tokens[rows][:, :cut]
            assert np.array_equal(store.tokens(rows, width), wide)
        assert store.strings(rows) == [items[i] for i in rows]


def test_marks_are_those_of_either_strand():
    data = prepare(sorted({*random_sequences(0, 500, lengths=(1, 9))}), alphabet="dna")
    marks = marks_of(data.tokens, data.lengths, data.alphabet.complement)
    other = data.alphabet.reverse_complement(data.sequences)
    pairs = {frozenset(pair) for pair in zip(data.sequences, other, strict=True)}
    assert len(np.unique(marks)) == len(pairs)


# -- fits -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(monkeypatch):
    """Train from the disk, however few the sequences are."""
    monkeypatch.setattr(generator, "MOST_SEARCHED", 0)


def same_weights(one, two) -> bool:
    a, b = one.objective_.state_dict(), two.objective_.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_small_store_is_fitted_as_its_file(tmp_path):
    path = write(tmp_path / "a.csv", table().to_csv(index=False))
    store = prepare_store(path, tmp_path / "a.store", ["cell", "mic"], verbose=0)
    one, two = tiny().fit(path, "cell"), tiny().fit(store.path, "cell")
    assert same_weights(one, two) and one.history_["loss"] == two.history_["loss"]
    assert np.array_equal(one.score_samples(path), one.score_samples(store.path))


@pytest.mark.parametrize("name", GENERATORS)
def test_fit_on_disk_is_the_fit_in_memory(tmp_path, on_disk, name):
    items, held = mixed_lengths(60, 30), mixed_lengths(20, 30, seed=5)
    small = {k: v for k, v in SMALL.items() if k != "diffusion_steps"}
    store = prepare_store(items, tmp_path / "a.store", verbose=0)
    models = [GENERATORS[name](**small).fit(X, validation=held) for X in (items, store)]
    assert same_weights(*models)
    assert models[0].evaluations_["bits_per_letter"] == models[1].evaluations_["bits_per_letter"]
    assert models[0].generate(5, random_state=0) == models[1].generate(5, random_state=0)


def test_sequences_of_one_length_on_disk_are_fitted_as_in_memory(tmp_path, on_disk):
    items, held = sequences(60, 12), mixed_lengths(20, 15)
    store = prepare_store(items, tmp_path / "a.store", verbose=0)
    assert store.fixed
    for strands in (None, "both"):
        models = [tiny(strands=strands).fit(X, validation=held) for X in (items, store)]
        assert same_weights(*models)


@pytest.mark.parametrize("names", ["cell", "mic", ["cell", "mic", "count"]])
@pytest.mark.parametrize("strands", [None, "both"])
def test_labels_weights_and_strands_from_a_disk(tmp_path, on_disk, names, strands):
    frame = table()
    store = prepare_store(frame, tmp_path / "a.store", ["cell", "mic", "count"], verbose=0)
    weight = np.random.default_rng(0).integers(0, 3, len(frame))
    settings = {"strands": strands, "label_dropout": 0.3, "update_freq": 2}
    models = [tiny(**settings).fit(X, names, validation=None, sample_weight=weight) for X in (frame, store)]
    assert same_weights(*models)
    assert models[0].target_.to_dict() == models[1].target_.to_dict()


def test_copies_stay_together_and_every_class_is_learned(tmp_path):
    items = sequences(300, 12)
    other = prepare(items[:1]).alphabet.reverse_complement(items[:100])
    labels = np.array(["a", "b"] * 200)
    labels[7] = "rare"
    store = prepare_store([*items, *other], tmp_path / "a.store", labels, verbose=0)
    data = StoredData.of(store, "y")
    sides = {}
    for seed in range(20):
        codes = np.unique(data.y.astype(str), return_inverse=True)[1]
        train, valid, notes = hold_out_stored(data, 0.2, seed, [codes])
        assert sorted([*train, *valid]) == list(range(400)) and "copies" in notes[0]
        held = np.isin(np.arange(400), valid)
        assert np.array_equal(held[:100], held[300:]) and not held[7]
        assert 40 < len(valid) < 130
        sides[seed] = tuple(valid)
    assert len(set(sides.values())) == 20
    assert len(hold_out_stored(data, 0.0, 0)[1]) == 0 and 0 < len(hold_out_stored(data, 0.9999, 0)[0]) < 10


def test_planned_batches_do_not_change_a_fit(monkeypatch):
    items = mixed_lengths(200, 30)
    whole = tiny().fit(items)
    monkeypatch.setattr(trainer, "PLANNED", 3)
    assert same_weights(whole, tiny().fit(items))


@pytest.mark.parametrize("stop", [3, 7, 11])
def test_resume_within_an_epoch_ends_where_the_whole_run_does(tmp_path, on_disk, monkeypatch, stop):
    store = prepare_store(mixed_lengths(120, 30), tmp_path / "a.store", verbose=0)
    settings = {"savepath": str(tmp_path), "epochs": 2}
    whole = tiny(**settings, model_name="whole").fit(store)
    step = trainer.Trainer._step

    def stopped(self, rows, i, parts=None):
        if self.step == stop:
            signal.raise_signal(signal.SIGINT)
        return step(self, rows, i, parts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.Trainer, "_step", stopped)
        tiny(**settings, model_name="part").fit(store)
    resumed = tiny(**settings, model_name="part").fit(Store(store.path), resume=True)
    assert same_weights(whole, resumed) and whole.history_["loss"] == resumed.history_["loss"]
    other = prepare_store(mixed_lengths(120, 30, seed=3), tmp_path / "b.store", verbose=0)
    refuses(lambda: tiny(**settings, model_name="part").fit(other, resume=True), "data")


def test_parameters_that_do_not_go_with_a_store(tmp_path, on_disk):
    store = prepare_store(table(), tmp_path / "a.store", "cell", verbose=0)
    refuses(lambda: tiny(alphabet="protein").fit(store), "alphabet", "dna, as the store")
    refuses(lambda: tiny(length=30).fit(store), "of another length", "length=30")
    refuses(lambda: tiny().fit(store, "mic"), "'mic', which is no label", "'cell'")
    refuses(lambda: tiny().fit(store, table().cell), "y", "the name of a label")
    refuses(lambda: tiny().fit(store, sample_weight=[1.0]), "one weight for each of 60 sequences")
    bare = prepare_store(sequences(20), tmp_path / "b.store", verbose=0)
    refuses(lambda: tiny().fit(bare, "cell"), "no labels", "again with the labels")


# -- damage -----------------------------------------------------------------------------------------------------------


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["tokens", "ends", "marks", "y0"])
def test_changed_files_are_seen_before_a_fit(tmp_path, name):
    store = prepare_store(table(), tmp_path / "a.store", "cell", verbose=0)
    flip(store.path / name, 5)
    refuses(lambda: tiny().fit(store.path), "a.store", "changed since they were written", "seqdiff prepare")
    content = (store.path / name).read_bytes()
    (store.path / name).write_bytes(content[:-1])
    refuses(lambda: tiny().fit(store.path), f"{len(content) - 1:,} bytes where {name} should have")
    (store.path / name).unlink()
    refuses(lambda: Store(store.path), f"no such file where {name}")


def test_headers_that_are_damaged_or_newer_are_refused(tmp_path):
    store = prepare_store(table(), tmp_path / "a.store", "cell", verbose=0)
    path = store.path / "store.json"
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "format_version": 2}))
    refuses(lambda: Store(store.path), "format 2", "upgrade seqdiff")
    for name in header:
        path.write_text(json.dumps({k: v for k, v in header.items() if k != name}))
        refuses(lambda: Store(store.path), "store.json", "make it again")
    for text in ("", "{", "[]", '{"format_version": 1}', path.read_text()[:40], "[" * 100_000):
        path.write_text(text)
        refuses(lambda: Store(store.path), "store.json", "make it again")
    refuses(lambda: Store(tmp_path), "no store")


def test_changed_letters_and_labels_of_the_header_are_seen(tmp_path):
    store = prepare_store(table(), tmp_path / "a.store", "cell", verbose=0)
    path = store.path / "store.json"
    for old, new in (('"A", "C"', '"C", "A"'), ("pu1", "pu2")):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        refuses(lambda: tiny().fit(store.path), "changed since they were written")
        path.write_text(text)
    tiny().fit(store.path)


def test_header_cannot_name_a_file_elsewhere(tmp_path):
    store = prepare_store(table(), tmp_path / "a.store", "mic", verbose=0)
    header = json.loads((store.path / "store.json").read_text())
    header["columns"][0]["file"] = "../y0"
    (tmp_path / "y0").write_bytes((store.path / "y0").read_bytes())
    (store.path / "store.json").write_text(json.dumps(header))
    refuses(lambda: Store(store.path), "store.json")


def test_tokens_that_are_no_letters_are_refused(tmp_path, on_disk):
    store = prepare_store(sequences(20), tmp_path / "a.store", verbose=0)
    flip(store.path / "tokens", 5, bit=6)
    refuses(lambda: Store(store.path).tokens(np.arange(20)), "tokens that are no letters")


# -- places to write --------------------------------------------------------------------------------------------------


def test_what_is_there_is_kept(tmp_path):
    store = prepare_store(sequences(20), tmp_path / "a.store", verbose=0)
    refuses(lambda: prepare_store(sequences(5), store.path, verbose=0), "a store that is there already")
    (tmp_path / "file").write_text("mine")
    refuses(lambda: prepare_store(sequences(5), tmp_path / "file", verbose=0), "there already")
    refuses(lambda: prepare_store(sequences(5), tmp_path / "no" / "a.store", verbose=0), "a folder that does not exist")
    refuses(lambda: prepare_store(sequences(5), 3, verbose=0), "a folder's name")
    assert Store(store.path).n == 20 and (tmp_path / "file").read_text() == "mine"


def test_failed_writes_are_said_and_leave_nothing(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streaming._Writer, "add", full)
    refuses(
        lambda: prepare_store(sequences(5), tmp_path / "a.store", verbose=0), "No space left on device", "make room"
    )
    assert os.listdir(tmp_path) == []


SLOWLY = """
import signal, sys, time
from seqdiff.data import prepare_store, streaming
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell lets its background jobs ignore
streaming.ROWS_TOGETHER = 10
def items():
    for i in range(60_000):
        if i == 50: print("begun", flush=True)
        time.sleep(0.001)
        yield "ACGT"
prepare_store(items(), "a.store", verbose=0)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_store_starts_clean(tmp_path, number):
    process = subprocess.Popen([sys.executable, "-c", SLOWLY], cwd=tmp_path, stdout=subprocess.PIPE, stderr=-3)
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    time.sleep(0.2)
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    left = os.listdir(tmp_path)
    assert "a.store" not in left and len(left) == (number == signal.SIGKILL)
    assert prepare_store(sequences(5), tmp_path / "a.store", verbose=0).n == 5
    assert os.listdir(tmp_path) == ["a.store"]


# -- the shell --------------------------------------------------------------------------------------------------------


def test_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("a.csv", index=False)
    made = CliRunner().invoke(main, ["prepare", "a.csv", "a.store", "--y", "cell"])
    assert made.exit_code == 0, made.output
    assert (
        "a.store: 60 dna sequences of 3 to 30 letters, with cell; " in made.stdout
        and "seqdiff fit a.store" in made.stdout
    )
    small = ["--width", "8", "--depth", "1", "--epochs", "1", "--model-name", "mine"]
    fitted = CliRunner().invoke(main, ["fit", "a.store", "--y", "cell", *small])
    assert fitted.exit_code == 0, fitted.output
    scored = CliRunner().invoke(main, ["score", "runs/mine", "a.store"])
    assert scored.exit_code == 0, scored.output
    shown = CliRunner().invoke(main, ["info", "a.store"])
    assert shown.exit_code == 0, shown.output
    assert "3 to 30, mean " in shown.stdout and "classes ctcf, none, pu1" in shown.stdout
    again = CliRunner().invoke(main, ["prepare", "a.csv", "a.store"])
    assert again.exit_code == 1 and "there already" in again.output


def test_records_of_a_store_are_a_table(tmp_path):
    frame = table()
    prepare_store(frame, tmp_path / "a.store", ["cell", "mic"], verbose=0)
    read = read_records(tmp_path / "a.store", ["cell", "mic"])
    assert read.sequences == frame.sequence.tolist() and read.y.dtype.names == ("cell", "mic")


@pytest.mark.parametrize("cls", [Autoregressive, MaskedDiffusion])
def test_quality_from_a_disk(tmp_path, on_disk, cls):
    rng = np.random.default_rng(0)
    items = ["".join(rng.choice(list(PU), 12, p=[0.7, 0.1, 0.1, 0.1])) for _ in range(400)]
    store = prepare_store(items, tmp_path / "a.store", verbose=0)
    model = cls(width=8, depth=1, epochs=20, lr=1e-2, savepath=None, verbose=0).fit(store)
    entropy = -(0.7 * np.log2(0.7) + 0.3 * np.log2(0.1))
    assert entropy - 0.15 < min(model.evaluations_["bits_per_letter"]) < entropy + 0.15
