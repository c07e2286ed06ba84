"""The letters of published models: the files of a tokenizer as an `Alphabet`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqdiff.alphabets import Alphabet, MarkedAlphabet, MarkedPieces
from seqdiff.errors import InputError, argument
from seqdiff.hub import local_folder
from seqdiff.inputs import PathLike

TokenizerLike = PathLike | Sequence[str] | Alphabet
"""A folder or a file of a tokenizer, or the letters of a model in their order; see `convert_udlm`."""
FILES = ("vocab.json", "vocab.txt")
SPECIAL = {"bos_token": "<bos>", "eos_token": "<eos>", "mask_token": "<mask>", "pad_token": "<pad>",
           "unk_token": "<unk>"}  # fmt: skip
"""Special tokens of the tokenizers of SMILES, in the order in which they precede the vocabulary."""
SPECIAL_OF_BERT = {"bos_token": "[CLS]", "eos_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "[PAD]",
                   "unk_token": "[UNK]"}  # fmt: skip
OTHER_NAMES = {"cls_token": "bos_token", "sep_token": "eos_token"}


def read_tokenizer(given: TokenizerLike, length: int) -> tuple[Alphabet, int | None]:
    """Return the alphabet of a tokenizer whose rows have `length` letters, and the number of its mask, None without."""
    if isinstance(given, Alphabet):
        return given, None
    if not isinstance(given, (str, os.PathLike)):
        letters = list(given)
        masks = [
            i for i, letter in enumerate(letters) if letter in (SPECIAL["mask_token"], SPECIAL_OF_BERT["mask_token"])
        ]
        return Alphabet(letters), masks[0] if masks else None
    path, where = local_folder(given), f"{argument('tokenizer')}: {given}"
    if path.is_dir():
        path = next((path / name for name in FILES if (path / name).is_file()), path)
    if path.name not in FILES or not path.is_file() or (path.parent / "merges.txt").is_file():
        found, wanted = "no vocab.txt, and no vocab.json without merges.txt", "a folder with one, or the file itself"
        raise InputError(where, found, wanted, f"give the letters in their order, {argument('tokenizer')}=[...]")
    settings = (
        read_json(path.parent / "tokenizer_config.json") if (path.parent / "tokenizer_config.json").is_file() else {}
    )
    pieces = path.name == "vocab.txt"
    special = (SPECIAL_OF_BERT if pieces else SPECIAL) | _special(settings)
    letters = path.read_text(encoding="utf-8").splitlines() if pieces else _ordered(read_json(path), special, where)
    mask = letters.index(special["mask_token"]) if special["mask_token"] in letters else None
    marks = (special["bos_token"], special["eos_token"], special["pad_token"], length)
    if pieces:
        return MarkedPieces(letters, "word pieces", *marks, bool(settings.get("do_lower_case", True))), mask
    return MarkedAlphabet(letters, "tokens", *marks), mask


def _special(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the special tokens that a tokenizer's settings name."""
    texts = {key: value.get("content") if isinstance(value, dict) else value for key, value in settings.items()}
    known = {key: text for key, text in texts.items() if isinstance(text, str) and text}
    named = {new: known[old] for old, new in OTHER_NAMES.items() if old in known}
    return named | {key: known[key] for key in SPECIAL if key in known}


def _ordered(vocab: Mapping[str, Any], special: Mapping[str, str], where: str) -> list[str]:
    """Return the tokens of vocab.json by number. Special tokens that it lacks precede them, as in the authors' code."""
    if not vocab or sorted(map(str, vocab.values())) != sorted(map(str, range(len(vocab)))):
        found = "numbers of tokens that are not 0, 1, 2, ..."
        raise InputError(where, found, "a number for each token", "give the letters in their order as a list")
    return [*(special[key] for key in SPECIAL if special[key] not in vocab), *sorted(vocab, key=vocab.__getitem__)]


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        found = f"what is no JSON ({' '.join(str(error).split())[:80]})"
        raise InputError(str(path), found, "a JSON object", "give another copy") from None
    return read if isinstance(read, dict) else {}
