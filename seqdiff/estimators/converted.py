r"""Published models of others as estimators of this package: UDLM and MDLM.

The layout is that of "Simple Guidance Mechanisms for Discrete Diffusion Models" (Schiff et al. 2024, arXiv 2412.10193)
on the Hugging Face hub: config.json, and model.safetensors with the weights of a DiT. MDLM (Sahoo et al. 2024, arXiv
2406.07524) has the same. `UDLMTransformer` computes the function of this network. Parts that only one of the two has
are folded into the weights, exactly:

    weights g of a LayerNorm n:   (1 + W c + b) g n(h) = (1 + W' c + b') n(h),   W' = g W,   b' = g (1 + b) - 1
    positions, first linear layer, bias behind attention:   0, the identity, 0

UDLM puts its prediction x_theta in the place of x_0 in q(x_s | x_t, x_0). That is the posterior of `Uniform` with
log x_theta as context logits (`processes/categorical.py`), and its loss is that of `Uniform`: the output means the
same. MDLM's output has no mask among its letters and does not count at letters that are seen, as in `Masked`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seqdiff import runtime
from seqdiff.alphabets import Alphabet
from seqdiff.data import LengthDistribution, Target, target_from_dict
from seqdiff.errors import InputError, argument, listed, shown
from seqdiff.estimators.base import GeneratorBase
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.masked import MaskedDiffusion
from seqdiff.estimators.tokenizers import FILES, TokenizerLike, read_json, read_tokenizer
from seqdiff.estimators.uniform import UniformDiffusion
from seqdiff.hub import WEIGHTS, is_remote, local_folder, repository_of
from seqdiff.inputs import NetworkLike, PathLike
from seqdiff.model import Vocabulary

KINDS: dict[str, type[SequenceGenerator]] = {"udlm": UniformDiffusion, "mdlm": MaskedDiffusion}
"""Generators by `model_type` of config.json."""
TOKENIZERS = {
    "kuleshov-group/udlm-qm9": "hf://yairschiff/qm9-tokenizer",
    "kuleshov-group/udlm-lm1b": "hf://google-bert/bert-base-uncased",
}
"""The tokenizers of the authors' models, as their code names them."""
SIZES = ("vocab_size", "model_length", "hidden_dim", "cond_dim", "n_blocks", "n_heads")
LARGEST = 200_000  # of these sizes
FEATURES = 256  # sinusoids of sigma


def load(path: PathLike, *, device: str = "auto", network: NetworkLike | None = None) -> Any:
    """Return the fitted estimator of a model file, a run folder, a shared model or a published UDLM.

    Parameters
    ----------
    path : path or str
        A file that `save` wrote; a run folder; a folder that `save_pretrained` wrote; ``hf://owner/name``, or
        ``hf://owner/name@revision``, of a model that `push_to_hub` shared; or one of these with a model in the layout
        of UDLM, for which `convert_udlm` is called.
    device : str
        Where to put it; the device it was trained on does not matter.
    network : callable, optional
        The function given as `network` when it was trained, where it was one.

    Returns
    -------
    estimator

    Raises
    ------
    ValueError
        If there is no model of that name, it is not of a known layout, or names a class that is not imported.

    Examples
    --------
    >>> import seqdiff
    >>> model = seqdiff.UniformDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"]).save("uniform.safetensors")
    >>> seqdiff.load("uniform.safetensors").alphabet_.name
    'dna'
    """
    config = local_folder(path) / "config.json"
    if config.is_file() and _type_of(read_json(config)) in KINDS:
        return convert_udlm(path, device=device)
    return GeneratorBase.load(path, device=device, network=network)


def convert_udlm(
    path: PathLike,
    tokenizer: TokenizerLike | None = None,
    *,
    labels: Sequence[Any] | None = None,
    device: str = "auto",
) -> UniformDiffusion | MaskedDiffusion:
    """Return a published UDLM or MDLM as a `UniformDiffusion` or a `MaskedDiffusion` with the same function.

    It generates, scores, is guided and saved like one that was fitted here. At time t of the process the network gets
    the noise sigma = -log(1 - 0.999 t), as in the authors' code.

    Parameters
    ----------
    path : path or str
        A folder with config.json and model.safetensors, or ``hf://owner/name``.
    tokenizer : path, sequence of str, or Alphabet, optional
        The letters in their order: a folder or ``hf://owner/name`` with vocab.json (SMILES and characters; special
        tokens that it lacks precede it, as in the authors' code) or vocab.txt (BERT's pieces of words), one of these
        files, or the letters themselves, which then have no marks. None takes those of the model's own folder, or the
        tokenizers that the authors name for their models.
    labels : sequence, optional
        Names of the classes of a model that was trained with labels; by default 0, 1, ...
    device : str

    Returns
    -------
    UniformDiffusion or MaskedDiffusion
        Rows have one length, `model_length`. Where the tokenizer marks begin, end and padding, sequences are read and
        samples written without the marks (`MarkedAlphabet`). A template is then a list with an entry for every position
        of the row, from the begin mark on.

    Raises
    ------
    InputError
        If the folder has another layout, the tokenizer another number of letters, or a file is missing.

    Examples
    --------
    >>> import seqdiff
    >>> model = seqdiff.convert_udlm("hf://kuleshov-group/udlm-qm9")  # doctest: +SKIP
    >>> model.generate(10, steps=32)  # doctest: +SKIP
    """
    place = runtime.choose_device(device)
    folder = local_folder(path)
    config = Config.read(folder, str(path))
    given = _default_tokenizer(path, folder) if tokenizer is None else tokenizer
    alphabet, order = config.letters(*read_tokenizer(given, config.model_length))
    weights = converted(config, config.tensors(folder / WEIGHTS), order)
    estimator = config.estimator(alphabet)
    vocabulary = Vocabulary(alphabet, LengthDistribution.fit([config.model_length]), config.target(labels))
    objective = estimator.build(vocabulary)
    objective.network.load_state_dict(weights)
    estimator.model_ = estimator._model(runtime.place(objective, place).requires_grad_(False).eval(), vocabulary)
    estimator.run_dir_ = None
    return estimator


class Config:
    """What config.json says of a model, checked.

    Parameters
    ----------
    values : mapping
    where : str
        Name of the model in messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.where, self.kind = where, _type_of(values)
        if self.kind not in KINDS:
            found = f"a model of the type {shown(self.kind)}"
            raise InputError(where, found, f"one of {listed(KINDS)}", "give one of these")
        values = {"model_length": values.get("length"), **values}  # MDLM's name
        for name in SIZES:
            size = values.get(name)
            if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST:
                raise self._wrong(name, size, f"a whole number from 1 to {LARGEST:,}")
        self.vocab_size, self.model_length, self.width, self.context, self.depth, self.heads = (
            values[name] for name in SIZES
        )
        if self.width % (2 * self.heads):
            raise self._wrong("hidden_dim", self.width, f"a multiple of {2 * self.heads}, twice n_heads")
        self.dropout = values.get("dropout", 0.1)
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise self._wrong("dropout", self.dropout, "a number from 0 to below 1")
        self.timed = bool(values.get("time_conditioning", self.kind == "udlm"))
        self.classes = values.get("cfg_num_classes", -1) if values.get("cfg", False) else 0
        if not isinstance(self.classes, int) or not 0 <= self.classes <= LARGEST:
            raise self._wrong("cfg_num_classes", self.classes, "the number of classes, as cfg is true")

    @classmethod
    def read(cls, folder: Path, where: str) -> Config:
        """Return the configuration of a folder."""
        for name in ("config.json", WEIGHTS):
            if not (folder / name).is_file():
                cure = "give such a folder"
                if name == WEIGHTS:
                    cure = "ask its owner for that file: pickles such as pytorch_model.bin are not read"
                raise InputError(where, f"a folder without {name}", f"config.json and {WEIGHTS} of a model", cure)
        return cls(read_json(folder / "config.json"), where)

    def _wrong(self, name: str, value: object, wanted: str) -> InputError:
        return InputError(f"{self.where}, config.json: {name}", shown(value), wanted, "correct the file")

    @property
    def masked(self) -> bool:
        """Return whether letters are masked, and not drawn anew."""
        return self.kind == "mdlm"

    def letters(self, alphabet: Alphabet, mask: int | None) -> tuple[Alphabet, Tensor]:
        """Return the alphabet without the mask of masked diffusion, and the tokens of its letters, then the mask's."""
        tokens = list(range(len(alphabet)))
        if self.masked:
            # the authors' code appends a mask to a tokenizer that has none
            mask = self.vocab_size - 1 if mask is None else mask
            tokens = [*(i for i in tokens if i != mask), mask]
        if len(tokens) != self.vocab_size:
            found, wanted = f"{len(alphabet)} letters", f"{self.vocab_size}{', the mask included' * self.masked}"
            cure = "give the tokenizer that the model was trained with"
            raise InputError(argument("tokenizer"), found, f"{wanted}, as {self.where} has", cure)
        if self.masked and mask is not None and mask < len(alphabet):
            letters = [alphabet.letters[i] for i in tokens[:-1]]
            alphabet = Alphabet.from_dict(alphabet.to_dict() | {"letters": letters})
        return alphabet, torch.tensor(tokens)

    def estimator(self, alphabet: Alphabet) -> Any:
        """Return the unfitted estimator."""
        options = {"heads": self.heads, "context_width": self.context}
        own: dict[str, Any] = {"time_conditioning": self.timed} if self.masked else {}
        return KINDS[self.kind](
            alphabet=alphabet, length=self.model_length, network="transformer-udlm", width=self.width, depth=self.depth,
            dropout=self.dropout, network_options=options, savepath=None, **own,
        )  # fmt: skip

    def target(self, labels: Sequence[Any] | None) -> Target | None:
        """Return the meaning of labels, None for a model without."""
        if not self.classes:
            if labels is not None:
                raise InputError(argument("labels"), shown(labels), "None, as the model has none", "leave it out")
            return None
        names = list(range(self.classes)) if labels is None else list(labels)
        if len(names) != self.classes or len(set(names)) < self.classes:
            wanted = f"{self.classes} different names, one for each class of the model"
            raise InputError(argument("labels"), shown(labels), wanted, "give as many, in the order of its classes")
        shares = [1 / self.classes] * self.classes
        return target_from_dict({"kind": "class", "n_columns": 1, "classes": names, "frequencies": shares})

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the file's tensors by name."""
        w, c, k = self.width, self.context, self.vocab_size
        shapes: dict[str, tuple[int, ...]] = {
            "vocab_embed.embedding": (k, w),
            "sigma_map.mlp.0.weight": (c, FEATURES), "sigma_map.mlp.0.bias": (c,),
            "sigma_map.mlp.2.weight": (c, c), "sigma_map.mlp.2.bias": (c,),
            "output_layer.norm_final.weight": (w,),
            "output_layer.linear.weight": (k, w), "output_layer.linear.bias": (k,),
            "output_layer.adaLN_modulation.weight": (2 * w, c), "output_layer.adaLN_modulation.bias": (2 * w,),
        }  # fmt: skip
        if self.classes:
            shapes["cond_map.embedding_table.weight"] = (self.classes + 1, c)
        block: dict[str, tuple[int, ...]] = {
            "norm1.weight": (w,), "norm2.weight": (w,), "attn_qkv.weight": (3 * w, w), "attn_out.weight": (w, w),
            "mlp.0.weight": (4 * w, w), "mlp.0.bias": (4 * w,), "mlp.2.weight": (w, 4 * w), "mlp.2.bias": (w,),
            "adaLN_modulation.weight": (6 * w, c), "adaLN_modulation.bias": (6 * w,),
        }  # fmt: skip
        return shapes | {f"blocks.{i}.{name}": shape for i in range(self.depth) for name, shape in block.items()}

    def tensors(self, path: Path) -> dict[str, Tensor]:
        """Return the tensors of the file in float32, by their names in `shapes`, which they must have."""
        where = f"{self.where}, {WEIGHTS}"
        try:
            with safe_open(path, framework="pt") as file:
                found = {name.removeprefix("backbone."): file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:100]
            raise InputError(where, f"a damaged file ({reason})", "a whole one", "download it again") from None
        angles = found.pop("rotary_emb.inv_freq", None)
        shapes = self.shapes()
        if strange := sorted(shapes.keys() ^ found.keys()):
            wanted, cure = "those of the DiT of UDLM and MDLM", "give the two files of such a model"
            raise InputError(where, f"tensors of another layout (first {shown(strange[0])})", wanted, cure)
        for name, shape in shapes.items():
            if found[name].shape != shape:
                got, wanted = f"the shape {tuple(found[name].shape)}", f"{shape}, as config.json says"
                raise InputError(f"{where}: {name}", got, wanted, "give the two files of one model")
        size = self.width // self.heads
        expected = 10_000 ** (-torch.arange(0, size, 2) / size)
        if angles is not None and not (angles.shape == expected.shape and torch.allclose(angles, expected, rtol=1e-3)):
            raise InputError(where, "other rotary frequencies", "those of the base 10,000", "give a model with these")
        return found


def converted(config: Config, given: Mapping[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    """Return the weights of `UDLMTransformer` for tensors of `Config.shapes`; `order` (states,) as of `letters`."""
    w = config.width
    outputs = order[:-1] if config.masked else order
    cosines, sines = given["sigma_map.mlp.0.weight"].chunk(2, 1)
    time, time_bias = torch.cat([sines, cosines], 1), given["sigma_map.mlp.0.bias"]
    if not config.timed:  # sigma is 0 for all times: sines are 0, cosines 1
        time, time_bias = torch.zeros_like(time), time_bias + cosines.sum(1)
    final = _folded(given, "output_layer.adaLN_modulation", {1: given["output_layer.norm_final.weight"]})
    weights = {
        "embed.weight": given["vocab_embed.embedding"][order],
        "position": torch.zeros(config.model_length, w), "mix.weight": torch.eye(w), "mix.bias": torch.zeros(w),
        "time.mlp.0.weight": time, "time.mlp.0.bias": time_bias,
        "time.mlp.2.weight": given["sigma_map.mlp.2.weight"], "time.mlp.2.bias": given["sigma_map.mlp.2.bias"],
        "condition.null": torch.zeros(config.context),
        "modulation.weight": final[0], "modulation.bias": final[1],
        "out.weight": given["output_layer.linear.weight"][outputs],
        "out.bias": given["output_layer.linear.bias"][outputs],
        "bias": torch.zeros(config.model_length, len(outputs)),
    }  # fmt: skip
    if config.classes:  # the last one is the null label
        table = given["cond_map.embedding_table.weight"]
        weights |= {"condition.label.weight": table[:-1], "condition.null": table[-1]}
    for i in range(config.depth):
        old = f"blocks.{i}."
        norms = {1: given[f"{old}norm1.weight"], 4: given[f"{old}norm2.weight"]}
        weight, bias = _folded(given, f"{old}adaLN_modulation", norms)
        block = {
            "modulation.weight": weight, "modulation.bias": bias,
            "qkv.weight": given[f"{old}attn_qkv.weight"],
            "project.weight": given[f"{old}attn_out.weight"], "project.bias": torch.zeros(w),
            **{name: given[old + name] for name in ("mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias")},
        }  # fmt: skip
        weights |= {old + name: tensor for name, tensor in block.items()}
    return weights


def _folded(given: Mapping[str, Tensor], name: str, norms: Mapping[int, Tensor]) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a modulation with the weights of the norms before it folded in.

    The rows of a modulation are shifts, scales and gates in equal parts; `norms` has weights g (W,) by the number of
    the part that is their scale.
    """
    weight, bias = given[f"{name}.weight"].clone(), given[f"{name}.bias"].clone()
    for part, g in norms.items():
        rows = slice(part * len(g), (part + 1) * len(g))
        weight[rows] *= g[:, None]
        bias[rows] = g * (1 + bias[rows]) - 1
    return weight, bias


def _default_tokenizer(path: PathLike, folder: Path) -> PathLike:
    if any((folder / name).is_file() for name in FILES):
        return folder
    if is_remote(path) and (name := repository_of(path)[0]) in TOKENIZERS:
        return TOKENIZERS[name]
    found, wanted = f"None for {path}, which has no {' or '.join(FILES)}", "the tokenizer of the model"
    cure = f"call seqdiff.convert_udlm(path, {argument('tokenizer')}=...) with its folder, hf:// name or letters"
    raise InputError(argument("tokenizer"), found, wanted, cure)


def _type_of(config: Mapping[str, Any]) -> str:
    """Return the type of a model: `model_type`, or the name of its class."""
    classes = config.get("architectures")
    classes = classes if isinstance(classes, list) else []
    names = [str(name).lower() for name in (config.get("model_type"), *classes)]
    return next((name for name in names if name in KINDS), names[0])
