"""Model repositories of the Hugging Face hub, by the library huggingface_hub: folders come and go, nothing is run.

A name is ``hf://owner/name``, or ``hf://owner/name@revision`` with a branch, a tag or a commit. Private repositories
take the token of ``hf auth login`` or of the environment variable HF_TOKEN. ``HF_HUB_OFFLINE=1`` reads only what has
been downloaded before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from seqdiff.errors import InputError, argument, shown
from seqdiff.inputs import PathLike

PREFIX = "hf://"
READ = ["*.json", "*.safetensors", "*.txt", "README.md"]
"""What is downloaded: no pickles, no code."""
OWNED = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS = "model.safetensors"


def is_remote(path: PathLike) -> bool:
    """Return whether a path is the name of a repository.

    >>> is_remote("hf://someone/promoters"), is_remote("runs/demo")
    (True, False)
    """
    return isinstance(path, str) and path.startswith(PREFIX)


def repository_of(path: PathLike) -> tuple[str, str | None]:
    """Return owner/name and the revision, None where none is named, of a name with ``hf://``.

    >>> repository_of("hf://someone/promoters@v2")
    ('someone/promoters', 'v2')
    """
    name, _, revision = str(path).removeprefix(PREFIX).partition("@")
    if not OWNED.fullmatch(name):
        raise InputError(str(path), shown(name), "hf://owner/name, or hf://owner/name@revision", "write it so")
    return name, revision or None


def local_folder(path: PathLike) -> Path:
    """Return the folder of a repository, downloaded where it is not yet; any other path as it is.

    Raises
    ------
    InputError
        If the name is no repository's, the library or the network is missing, or the repository may not be read.
    """
    if not is_remote(path):
        return Path(path)
    name, revision = repository_of(path)
    hub = _library(str(path))
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=READ))
    except Exception as error:
        raise explained(error, str(path), "read") from error


def upload(
    folder: Path, name: str, write: Callable[[str], object], private: bool | None, token: str | None, message: str
) -> str:
    """Upload a folder in one commit, and return the address of the repository, which is made if needed.

    `write(owner/name)` writes the files, when it is known that they can go there.
    """
    name = name.removeprefix(PREFIX)
    if not re.fullmatch(rf"(?:{OWNED.pattern}|[\w.-]+)", name):
        wanted = "owner/name, or a name of your own account"
        raise InputError(argument("name"), shown(name), wanted, "give a name of letters, digits, - _ and .")
    api = _library(argument("name")).HfApi(token=token, library_name="seqdiff")
    try:
        address = api.create_repo(name, private=private, exist_ok=True, repo_type="model")
    except Exception as error:
        raise explained(error, name, "written") from error
    write(address.repo_id)
    try:
        api.upload_folder(repo_id=address.repo_id, folder_path=folder, commit_message=message, repo_type="model")
    except Exception as error:
        raise explained(error, name, "written") from error
    return str(address)


def explained(error: Exception, where: str, done: str) -> InputError:
    """Return one sentence for what the library raised when a repository was to be read or written (`done`)."""
    from huggingface_hub import errors

    login = "log in with `hf auth login` or set HF_TOKEN"
    wanted = f"a repository that can be {done}"
    if isinstance(error, errors.GatedRepoError):
        return InputError(where, "a repository whose owner grants access", wanted, f"ask for access, then {login}")
    if isinstance(error, errors.RepositoryNotFoundError):
        found = "no repository of that name, or a private one"
        return InputError(where, found, wanted, f"correct the name, or {login}")
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(
            where, "no revision of that name", "a branch, a tag or a commit", "correct it, or leave it out"
        )
    if isinstance(error, errors.LocalTokenNotFoundError):
        return InputError(where, "no token", wanted, login)
    if isinstance(error, errors.HFValidationError):
        return InputError(where, "what is no name of a repository", "owner/name", "correct it")
    offline = isinstance(error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError))
    if offline or type(error).__name__ in ("ConnectError", "ConnectTimeout", "ReadTimeout", "ProxyError"):
        found, cure = "no connection to the hub", "connect, and unset HF_HUB_OFFLINE where it is set"
        if done == "read":
            found, cure = f"{found}, and no earlier download", f"{cure}, or give a folder"
        return InputError(where, found, wanted, cure)
    reply = getattr(getattr(error, "response", None), "status_code", None)
    if reply in (401, 403):
        return InputError(where, f"the answer {reply}: your token does not allow it", wanted, login)
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(where, f"the answer: {reason}", wanted, "try again later, or correct the name")


def _library(where: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        wanted = "the library huggingface_hub, which is not installed"
        raise InputError(where, "the name of a repository", wanted, 'pip install "seqdiff[hub]"') from None
    return huggingface_hub
