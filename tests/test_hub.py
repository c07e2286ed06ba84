"""Shared models: the folder and its card, what is uploaded and read back, and one sentence for all that can fail.

Uploads go to a stand-in for the hub that copies them into the cache of huggingface_hub; reading is the library's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from published_layout import LETTERS, write_published
from small_models import refuses, sequences, tiny

import seqdiff
from seqdiff.alphabets import MarkedAlphabet
from seqdiff.cli import main
from seqdiff.hub import local_folder

hub = pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of a machine without a network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stored(cache: Path, name: str, revision: str = "main") -> Path:
    """Return the folder of a repository in the cache, as the library lays it out."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / revision).write_text(COMMIT)
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def uploads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Return the list of calls of a stand-in for the hub."""
    calls: list[tuple[str, dict[str, Any]]] = []

    class Api:
        def __init__(self, token: str | None, library_name: str) -> None:
            calls.append(("api", {"token": token}))

        def create_repo(self, name: str, **options: Any) -> Any:
            calls.append(("create_repo", {"name": name, **options}))
            return Address(name if "/" in name else f"me/{name}")

        def upload_folder(self, *, repo_id: str, folder_path: Path, **options: Any) -> None:
            calls.append(("upload_folder", {"repo_id": repo_id, **options}))
            for file in Path(folder_path).iterdir():
                (stored(cache, repo_id) / file.name).write_bytes(file.read_bytes())

    monkeypatch.setattr(hub, "HfApi", Api)
    return calls


class Address(str):
    """The address of a repository, as the library returns it."""

    repo_id: str

    def __new__(cls, repo_id: str) -> Address:
        made = super().__new__(cls, f"https://huggingface.co/{repo_id}")
        made.repo_id = repo_id
        return made


# -- the folder -------------------------------------------------------------------------------------------------------


def test_folder_holds_the_model_its_settings_and_its_card(tmp_path: Path) -> None:
    data = tmp_path / "private place" / "promoters.txt"
    data.parent.mkdir()
    data.write_text("\n".join(sequences(60)))
    model = tiny(savepath=tmp_path / "runs", random_state=7).fit(data, validation=0.2)
    model.save_pretrained(tmp_path / "shared", licence="cc-by-4.0")
    names = sorted(path.name for path in (tmp_path / "shared").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]

    again = seqdiff.load(tmp_path / "shared")
    assert again.generate(5, random_state=0) == model.generate(5, random_state=0)
    assert (again.score_samples(sequences(4)) == model.score_samples(sequences(4))).all()
    seqdiff.load(model.run_dir_).save_pretrained(tmp_path / "later", licence="cc-by-4.0")  # from the run's records

    best = min(model.evaluations_["bits_per_letter"])
    for folder in ("shared", "later"):
        card = hub.ModelCard.load(tmp_path / folder / "README.md")
        assert card.data.license == "cc-by-4.0" and card.data.library_name == "seqdiff"
        assert {"multinomial-diffusion", "dna"} <= set(card.data.tags)
        for fact in ("48 sequences of `promoters.txt`", "| 12 sequences |", f"{best:.4f} bits per letter",
                     "an upper bound", "| Seed | 7 |", "| Epochs | 2;", seqdiff.__version__, "cc-by-4.0"):  # fmt: skip
            assert fact in card.content, fact
        config = json.loads((tmp_path / folder / "config.json").read_text())
        assert config["training"]["validation"]["bits_per_letter"] == pytest.approx(best, rel=1e-4)
        assert config["class"] == "MultinomialDiffusion" and config["parameters"]["random_state"] == 7
    assert b"private place" not in b"".join(path.read_bytes() for path in (tmp_path / "shared").iterdir())
    assert str(tmp_path).encode() not in (tmp_path / "shared" / "model.safetensors").read_bytes()


def test_card_says_what_is_not_recorded(tmp_path: Path) -> None:
    model = tiny().fit(sequences(20), list("ab") * 10, validation=None)
    model.save(tmp_path / "model.safetensors")
    seqdiff.load(tmp_path / "model.safetensors").save_pretrained(tmp_path / "shared")
    card = hub.ModelCard.load(tmp_path / "shared" / "README.md")
    assert card.data.license is None and "not stated" in card.content
    assert "| Validation | not recorded |" in card.content and "| Seed | not recorded |" in card.content
    assert "| Trained on | 20 sequences |" in card.content and "classes a, b" in card.content


# -- there and back ---------------------------------------------------------------------------------------------------


def test_a_model_is_shared_and_loaded_by_its_name(cache: Path, uploads: list[tuple[str, dict[str, Any]]]) -> None:
    model = tiny().fit(sequences(20))
    address = model.push_to_hub("promoters", licence="mit", private=True, token="secret", message="First")
    assert address == "https://huggingface.co/me/promoters"
    assert uploads[0] == ("api", {"token": "secret"})
    created = {"name": "promoters", "private": True, "exist_ok": True, "repo_type": "model"}
    assert uploads[1] == ("create_repo", created)
    done = {"repo_id": "me/promoters", "commit_message": "First", "repo_type": "model"}
    assert uploads[2:] == [("upload_folder", done)]
    assert 'seqdiff.load("hf://me/promoters")' in (stored(cache, "me/promoters") / "README.md").read_text()

    for name in ("hf://me/promoters", "hf://me/promoters@main", f"hf://me/promoters@{COMMIT}"):
        again = seqdiff.load(name)
        assert again.generate(5, random_state=0) == model.generate(5, random_state=0)
        assert again.run_dir_ is None
    assert type(model).load("hf://me/promoters").n_train_ == model.n_train_
    refuses(lambda: seqdiff.load("hf://me/promoters@v2"), "promoters@v2", "no earlier download")
    refuses(lambda: seqdiff.SCUD.load("hf://me/promoters"), "expected a SCUD")


def test_commands_take_the_name_of_a_shared_model(cache: Path) -> None:
    tiny().fit(sequences(20)).save_pretrained(stored(cache, "someone/model"))
    for command in (["info", "hf://someone/model"], ["generate", "hf://someone/model", "3", "--steps", "2"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    assert "MultinomialDiffusion" in CliRunner().invoke(main, ["info", "hf://someone/model"]).output
    failed = CliRunner().invoke(main, ["info", "hf://someone/other"])
    assert failed.exit_code != 0 and "no earlier download" in failed.output


def test_published_models_are_found_with_their_tokenizers(cache: Path) -> None:
    """The names are those of the authors' repositories; the weights are made here."""
    write_published(stored(cache, "kuleshov-group/udlm-qm9"), vocab=None)
    tokenizer = stored(cache, "yairschiff/qm9-tokenizer")
    (tokenizer / "vocab.json").write_text(json.dumps(LETTERS))
    model = seqdiff.load("hf://kuleshov-group/udlm-qm9")
    assert isinstance(model.alphabet_, MarkedAlphabet)
    assert len(model.generate(3, y=1, steps=3, random_state=0)) == 3


# -- what fails -------------------------------------------------------------------------------------------------------


def response(status: int) -> Any:
    return SimpleNamespace(status_code=status, headers={}, request=None, text="", url="", json=dict)


FAILURES = {
    "RepositoryNotFoundError": (404, "no repository of that name, or a private one"),
    "GatedRepoError": (403, "whose owner grants access"),
    "RevisionNotFoundError": (404, "no revision of that name"),
    "LocalTokenNotFoundError": (None, "no token"),
    "LocalEntryNotFoundError": (None, "no connection"),
    "OfflineModeIsEnabled": (None, "no connection"),
    "HfHubHTTPError": (403, "the answer 403"),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("way", ["read", "written"])
def test_every_failure_of_the_hub_is_one_sentence(name: str, way: str, cache: Path, monkeypatch: Any) -> None:
    status, words = FAILURES[name]
    kind = getattr(hub.errors, name)
    error = kind("a long\nanswer") if status is None else kind("a long\nanswer", response=response(status))

    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    model = tiny().fit(sequences(10))
    monkeypatch.setattr(hub, "snapshot_download", fail)
    monkeypatch.setattr(hub, "HfApi", lambda **_: SimpleNamespace(create_repo=fail))
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: seqdiff.load("hf://someone/model"),
        "written": lambda: model.push_to_hub("someone/model"),
    }
    refuses(calls[way], "someone/model: got", words)


def test_without_a_network_only_what_was_read_before_is_found(cache: Path) -> None:
    refuses(lambda: seqdiff.load("hf://someone/model"), "no connection", "HF_HUB_OFFLINE")
    tiny().fit(sequences(10)).save_pretrained(stored(cache, "someone/model"))
    assert len(seqdiff.load("hf://someone/model").generate(2)) == 2
    assert local_folder("hf://someone/model") == stored(cache, "someone/model")


def test_names_licences_and_folders_are_checked(tmp_path: Path, cache: Path) -> None:
    model = tiny().fit(sequences(10))
    for name in ("hf://model", "hf://a/b/c", "hf://a/../b", "hf://", "hf://a b/c"):
        refuses(lambda name=name: seqdiff.load(name), "hf://owner/name")
    refuses(lambda: model.push_to_hub("a/b/c"), "name: got 'a/b/c'")
    refuses(lambda: model.push_to_hub("a/b", licence="MIT or so"), "licence: got 'MIT or so'")
    (tmp_path / "file").write_text("")
    refuses(lambda: model.save_pretrained(tmp_path / "file"), "folder: got the file")
    stored(cache, "someone/pickle")
    refuses(lambda: seqdiff.load("hf://someone/pickle"), "someone/pickle", "model.safetensors")


def test_missing_library_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    model = tiny().fit(sequences(10))
    refuses(lambda: seqdiff.load("hf://someone/model"), 'pip install "seqdiff[hub]"')
    refuses(lambda: model.push_to_hub("someone/model"), 'pip install "seqdiff[hub]"')
