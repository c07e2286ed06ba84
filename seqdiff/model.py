"""The fitted model: a process with its network, and what both know of the data. It samples, it scores, it is a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff import ranks, runtime
from seqdiff.data import (
    Alphabet,
    Dataset,
    LengthDistribution,
    StoredData,
    Target,
    Targets,
    learn_target,
    target_from_dict,
)
from seqdiff.files import write_file
from seqdiff.guidance.base import Chain
from seqdiff.inputs import LabelsLike, TargetLike
from seqdiff.networks import Conditions
from seqdiff.processes.base import Batch, Cond, Process
from seqdiff.ranks import ALONE, Ranks
from seqdiff.sampling import Denoiser, trajectory
from seqdiff.training import Objective
from seqdiff.training.batches import StoredBatch, crop_width


@dataclass(frozen=True)
class Vocabulary:
    """Letters, lengths and labels of the data of a model.

    Parameters
    ----------
    alphabet : Alphabet
    lengths : LengthDistribution
    target : Target, Targets or None
        Reads labels; None where there are none.
    n_train : int
        Training sequences.
    unlabelled : bool
        Whether some of them had no label.
    """

    alphabet: Alphabet
    lengths: LengthDistribution
    target: Target | None = None
    n_train: int = 0
    unlabelled: bool = True

    @classmethod
    def fit(
        cls,
        train: Dataset | StoredData,
        valid: Dataset | StoredData | None,
        weights: tuple[np.ndarray | None, np.ndarray | None],
        kind: TargetLike,
        seed: int,
    ) -> Vocabulary:
        """Return the vocabulary of a training and a validation set, their sequences weighted or not.

        `kind` is `target` of the estimators, `seed` that of the rows that stand for the distribution of values.
        """
        target = None if train.y is None else learn_target(train.y, kind, seed, weights[0])
        parts = [train] if valid is None else [train, valid]
        each = None
        if weights[0] is not None:  # held-out sequences that were given without weights count like the average
            each = np.concatenate([np.ones(len(p)) if w is None else w for p, w in zip(parts, weights, strict=False)])
        unlabelled = target is None or not target.encode(train.y, n=len(train))["keep"].all()
        labels = None
        if target is not None and target.kind != "signal":
            encoded = [target.encode(part.y, n=len(part)) for part in parts]
            labels = {name: np.concatenate([e[name] for e in encoded]) for name in encoded[0]}
        lengths = LengthDistribution.fit(np.concatenate([part.lengths for part in parts]), each, labels)
        return cls(train.alphabet, lengths, target, len(train), bool(unlabelled))

    @classmethod
    def from_dict(cls, header: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary that `to_dict` wrote."""
        target = None if header["target"] is None else target_from_dict(header["target"])
        lengths = LengthDistribution.from_dict(header["length_law"])
        unlabelled = bool(header.get("unlabelled", True))
        return cls(Alphabet.from_dict(header["alphabet"]), lengths, target, header.get("n_train", 0), unlabelled)

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabulary as JSON can hold it."""
        return {
            "alphabet": self.alphabet.to_dict(),
            "length_law": self.lengths.to_dict(),
            "target": None if self.target is None else self.target.to_dict(),
            "n_train": self.n_train,
            "unlabelled": self.unlabelled,
        }

    @property
    def conditions(self) -> Conditions:
        """Return the conditions that a network must take."""
        target = self.target
        if target is None:
            return Conditions()
        if isinstance(target, Targets):
            classes = [len(column.classes_) for column in target.columns if column.kind == "class"]
            return Conditions(sum(classes), len(target.columns) - len(classes), columns=len(target.columns))
        if target.kind == "class":
            return Conditions(classes=len(target.classes_))
        return Conditions(values=target.n_columns) if target.kind == "value" else Conditions(channels=target.n_columns)

    @property
    def sizes(self) -> dict[str, Any]:
        """Return the arguments of `build_network` that the data decide."""
        fixed = self.lengths.fixed
        return {"length": self.lengths.max_length, "conditions": self.conditions, "fixed_length": fixed}

    @property
    def layout(self) -> dict[str, Any]:
        """Return the options of a network that says how positions lie: the shape of images."""
        return {} if self.alphabet.shape is None else {"shape": self.alphabet.shape}

    def condition(self, y: LabelsLike, n: int, length: int, device: torch.device) -> Cond:
        """Return the condition of `n` rows, a signal with `length` positions; None for a model without labels."""
        if self.target is None:
            return None
        arrays = self.target.encode(y, n=n)
        if "signal" in arrays:  # as wide as the sequences, which are padded too
            signal = arrays["signal"][:, :length]
            arrays["signal"] = np.pad(signal, ((0, 0), (0, length - signal.shape[1]), (0, 0)))
        return {k: torch.from_numpy(np.ascontiguousarray(v)).to(device) for k, v in arrays.items()}

    def batch(
        self, data: Dataset, device: torch.device, weight: np.ndarray | None = None, labels: bool = True
    ) -> Batch:
        """Return a data set as tensors on the device, padded to the longest sequence that the model knows."""
        # torch knows few operations on the wider unsigned integers
        length, kind = self.lengths.max_length, np.int32 if data.tokens.dtype.itemsize > 1 else data.tokens.dtype
        padded = np.zeros((len(data), length), dtype=kind)
        width = min(length, data.tokens.shape[1])  # a part of a data set may be shorter than the whole was
        padded[:, :width] = data.tokens[:, :width]
        lengths = torch.from_numpy(np.ascontiguousarray(data.lengths)).to(device)
        cond = self.condition(data.y, len(data), length, device) if labels else None
        if cond is not None and "signal" in cond:  # beyond a sequence's end there is none, whatever the array holds
            cond["signal"] *= (torch.arange(length, device=device) < lengths[:, None])[..., None]
        weights = None if weight is None else torch.from_numpy(weight.astype(np.float32)).to(device)
        return Batch(torch.from_numpy(padded).to(device), lengths, cond, weights)

    def stored_batch(
        self, data: StoredData, device: torch.device, weight: np.ndarray | None = None
    ) -> Batch | StoredBatch:
        """Return rows of a store as `batch` does: in the memory of a GPU that has room, else read when needed."""
        length = self.lengths.max_length
        if data.store.fixed:
            lengths = torch.full((1,), data.store.longest, dtype=torch.int32, device=device).expand(len(data))
        else:
            lengths = torch.from_numpy(data.lengths).to(device)
        cond = self.condition(data.y, len(data), length, device)
        weights = None if weight is None else torch.from_numpy(weight.astype(np.float32)).to(device)

        def read(rows: Tensor, width: int) -> Tensor:
            tokens = data.tokens(rows.numpy(), width)
            return torch.from_numpy(tokens.astype(np.int32) if tokens.dtype.itemsize > 1 else tokens)

        stored = StoredBatch(read, None, length, lengths, cond, weights)
        if not runtime.has_room(device, len(data) * length * data.alphabet.dtype.itemsize):
            return stored
        kind = torch.uint8 if data.alphabet.dtype.itemsize == 1 else torch.int32
        tokens = torch.empty((len(data), length), dtype=kind, device=device)
        for rows in data.store.pieces(np.arange(len(data))):
            tokens[rows[0] : rows[-1] + 1] = read(torch.from_numpy(rows), length).to(device)
        return Batch(tokens, lengths.long(), cond, weights)


@dataclass(frozen=True)
class SampleRequest:
    """Arguments of `generate`, checked, on the model's device.

    Parameters
    ----------
    lengths : Tensor
        (n,) letters of each sample; 0 where the process says itself where it ends.
    width : int
        L, positions.
    cond : dict or None
        Conditions, n rows each.
    guide : Chain
        Bound to the model and n samples.
    steps, temperature
        As of `generate`.
    labels : ndarray or None
        The labels asked for, one for each sample, by the columns' names where there are several.
    """

    lengths: Tensor
    width: int
    cond: Cond = None
    guide: Chain = field(default_factory=lambda: Chain([]))
    steps: int | None = None
    temperature: float = 1.0
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def mask(self, rows: Tensor) -> Tensor:
        """Return the positions of these samples, booleans (B, L)."""
        return torch.arange(self.width, device=self.lengths.device) < self.lengths[rows][:, None]


@dataclass(eq=False, repr=False)
class SequenceModel:
    """A process with its network, and what both know of the data.

    Parameters
    ----------
    name : str
        The generator's class name, for messages.
    objective : Objective
        Process and network.
    vocabulary : Vocabulary
    label_dropout : float
        Share of the labels hidden in training.
    precision : {"auto", "float32", "bfloat16"}
        Numbers that the network computes with.
    settings : mapping
        The parameters of the generator's own, which make its process.
    """

    name: str
    objective: Objective
    vocabulary: Vocabulary
    label_dropout: float = 0.0
    precision: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def process(self) -> Process[Any]:
        return self.objective.process

    @property
    def network(self) -> Any:
        return self.objective.network

    @property
    def alphabet(self) -> Alphabet:
        return self.vocabulary.alphabet

    @property
    def lengths(self) -> LengthDistribution:
        return self.vocabulary.lengths

    @property
    def target(self) -> Target | None:
        return self.vocabulary.target

    @property
    def device(self) -> torch.device:
        return next(self.objective.parameters()).device

    @property
    def knows_no_label(self) -> bool:
        """Return whether training had rows without a label, so that p(x) is known beside p(x | y)."""
        return self.target is None or self.label_dropout > 0 or self.vocabulary.unlabelled

    # -- sampling -----------------------------------------------------------------------------------------------------

    def denoiser(self) -> Denoiser:
        """Return the network as samplers call it."""
        device = self.device
        return Denoiser(self.network, runtime.rows_at_once(device), self.precision, runtime.call_letters(device))

    def sample(
        self, request: SampleRequest, which: Tensor, seed: int, together: bool = False, among: Ranks = ALONE
    ) -> Iterator[Iterator[Any]]:
        """Return one trajectory for each group of the samples with these numbers, or one of all `together`.

        Of several processes each takes every so many-th group. Where the guide takes several rows for a sample, they
        stand together, and the first is yielded.
        """
        device, guide = self.device, request.guide
        rows = len(which) * guide.copies if together else runtime.rows_at_once(device, request.width)
        rows, size = max(rows, guide.copies), runtime.chunk_rows(request.width)

        def run(first: int) -> Iterator[Any]:
            part = torch.arange(first, min(first + rows, len(which) * guide.copies), device=device)
            sample = which[part // guide.copies]
            states = trajectory(
                self.process,
                self.denoiser(),
                request.mask(sample),
                runtime.chunk_generators(len(part), device, seed, "sample", first=first, size=size),
                cond=None if request.cond is None else {k: v[sample] for k, v in request.cond.items()},
                guidance=guide.take(sample),
                steps=request.steps,
                temperature=request.temperature,
            )
            firsts = slice(None, None, guide.copies)
            return states if guide.copies == 1 else (state.take(firsts) for state in states)

        return (run(first) for first in range(0, len(which) * guide.copies, rows)[among.rank :: among.size])

    def finished(
        self, request: SampleRequest, which: Tensor, seed: int, verbose: int = 0, unit: str = "sequence",
        among: Ranks = ALONE,
    ) -> Iterator[tuple[Any, Any]]:  # fmt: skip
        """Yield the first and the last state of each group of samples, with a progress bar."""
        with runtime.progress(-(-len(which) // among.size), unit, verbose) as bar:
            for states in self.sample(request, which, seed, among=among):
                path = iter(states)
                first = last = next(path)
                for state in path:
                    last = state
                    bar.update(0)  # shows the time that passes
                yield first, last
                bar.update(len(last.x))

    def decoded(self, request: SampleRequest, which: Tensor, seed: int, verbose: int = 0) -> list[Any]:
        """Return the samples with these numbers as strings, or as arrays where they are images."""
        among = ranks.current()
        groups = [
            (self.process.decode(last).cpu(), last.mask.sum(-1).cpu())
            for _, last in self.finished(request, which, seed, verbose, among=among)
        ]
        sequences: list[Any] = []
        for tokens, lengths in among.dealt(groups):
            sequences.extend(self.alphabet.decode(tokens.numpy(), lengths.numpy()))
        return sequences

    # -- scoring ------------------------------------------------------------------------------------------------------

    def score(self, data: Dataset, times: int | None, seed: int, verbose: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the bound on -log p given the length, nats per sequence (n,), and its Monte Carlo variance (n,).

        Without labels a conditional model scores p(x).
        """
        device, objective = self.device, self.objective
        # no condition at all without labels, not the null of each row
        everything = self.vocabulary.batch(data, device, labels=data.y is not None)
        exact, longest = self.process.bound == "exact", self.lengths.max_length
        rows, size = runtime.rows_at_once(device, longest), runtime.chunk_rows(longest)
        # Noise is drawn row by row at full width, so that a score depends on nothing but its sequence, its row and the
        # seed. Where there is none, sequences of like lengths go together, and no more padding than they need.
        order = np.argsort(data.lengths, kind="stable") if exact else np.arange(len(data))
        among, values = ranks.current(), torch.zeros(2, len(data), dtype=torch.float64)
        bar = runtime.progress(len(data), "sequence", verbose if len(data) > rows else 0)
        with bar, runtime.autocast(device, self.precision, exact=True):
            for first in range(0, len(data), rows)[among.rank :: among.size]:
                here = order[first : first + rows]
                width = crop_width(int(data.lengths[here[-1]]), longest) if exact else None
                part = everything.take(torch.from_numpy(here).to(device), width)
                number = len(part)

                def streams(*names: int, number: int = number, first: int = first) -> list[torch.Generator]:
                    return runtime.chunk_generators(number, device, seed, "score", *names, first=first, size=size)

                if times is None and objective.refines:
                    bound, variance = objective.refined_bound(part, streams)
                else:
                    bound, variance = objective.bound(part, times, streams())
                values[:, here] = torch.stack([bound.cpu().double(), variance.cpu().double()])
                bar.update(len(here) * among.size)
        bounds, variances = among.sum(values).numpy()
        return bounds, variances

    # -- files --------------------------------------------------------------------------------------------------------

    def to_file(self, path: Path, header: Mapping[str, Any], state: dict[str, Tensor] | None = None) -> None:
        """Write the model, or other weights of its objective, to one safetensors file, whole or not at all.

        The header holds class and parameters of the estimator, which builds process and network again.
        """
        write_file(path, {**header, **self.vocabulary.to_dict()}, state or self.objective.state_dict())
