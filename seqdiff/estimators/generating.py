"""`generate` and `trajectory` of every estimator: arguments to conditions, guides and masks, states to strings."""

from __future__ import annotations

import numbers
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional as F

from seqdiff import runtime
from seqdiff.data import Forbidden, parse_template
from seqdiff.data.writing import check_output, write_sequences
from seqdiff.errors import printable, shorten
from seqdiff.estimators import parameters
from seqdiff.estimators.encoding import encode_condition
from seqdiff.guidance import Avoid, Chain, Guidance, LookAhead
from seqdiff.parameters import Whole
from seqdiff.processes import State
from seqdiff.sampling import in_batches, trajectory

TRIES = 20
"""How often a sample that holds a forbidden word is made anew."""
PARTICLES, PREFIXES = 16, 64
"""Particles of `LookAhead` where it is not given: in `infill` and `mutate`; more where letters are written from left to
right, which is cheaper and looks forward less far, then also for lengths that the end token has to come to."""


@dataclass(frozen=True)
class Order:
    """What is to be made: arguments of `generate` that have been checked, on the model's device.

    Parameters
    ----------
    lengths : Tensor
        (n,) letters of each sample; 0 where the process says itself where it ends.
    width : int
        L, positions.
    cond : dict or None
        Conditions, n rows each.
    guide : Chain
        Of n samples.
    steps, temperature
        As of `generate`.
    labels : ndarray or None
        The labels asked for, one for each sample, by the columns' names where there are several.
    """

    lengths: Tensor
    width: int
    cond: dict[str, Tensor] | None = None
    guide: Chain = Chain([])
    steps: int | None = None
    temperature: float = 1.0
    labels: Any = None

    def mask(self, rows: Tensor) -> Tensor:
        """Return which positions some of the samples have, booleans (B, L)."""
        return torch.arange(self.width, device=self.lengths.device) < self.lengths[rows][:, None]


class GeneratingMixin:
    """What a fitted generator needs to write sequences."""

    objective_: Any
    alphabet_: Any
    length_law_: Any
    target_: Any
    label_dropout: float
    unlabelled_: bool = True  # of a model file that does not say
    run_dir_: str | None
    precision: str
    verbose: int

    def generate(
        self,
        n: int,
        out: str | os.PathLike[str] | None = None,
        *,
        y: Any = None,
        template: Any = None,
        guidance: Any = None,
        forbid: Any = None,
        steps: int | None = None,
        temperature: float = 1.0,
        length: Any = None,
        random_state: int | None = None,
    ) -> list[str]:
        """Write new sequences.

        Parameters
        ----------
        n : int
            How many.
        out : path, optional
            A ``.fasta``, ``.txt`` or ``.csv`` file to write them to; a copy goes to the run's ``samples/``.
        y : optional
            The condition: one for all, or one for each sample; None is none. Of several columns a dict by name
            (``{"label": "ctcf", "expr": 9.5}``; what is left out is unknown), a tuple in the columns' order, or a
            DataFrame or list of n such rows. ``"empirical"`` draws labels as they occur in the training data: classes
            by their frequency, values and several columns from 1,024 training rows, with the call's seed.
        template : str or list, optional
            Letters allowed at each position: a string of letters, IUPAC symbols (N any base, X any amino acid) and,
            where letters are single characters, sets such as ``[AVI]``; or a list with the allowed letters of each
            position (None: any). Every sample satisfies it exactly; a template fixes the length. Fixed letters of
            `MaskedDiffusion` and `SCUD` and every template of `DirichletFM` are shown to the network: samples follow
            p(x | template) as well as they follow p(x) without. Elsewhere, and for sets of letters, free letters are
            drawn before they have seen what is fixed; ``guidance=LookAhead(16)`` makes up for it, at 16 times the cost.
        guidance : Guidance or list of them, optional
            Of `seqdiff.guidance`; several act one after the other.
        forbid : str, int or list of them, optional
            Words that no sample may hold: letters and IUPAC symbols, names of restriction enzymes (DNA), whole numbers
            for runs of one letter; for nucleotides and their k-mers on both strands. `Autoregressive` and
            `MaskedDiffusion` do not complete them; whatever holds one all the same is made anew, up to 20 times.
            Samples that cannot be made are left out, with a warning that says how many and why; `made_` then says
            which there are.
        steps : int, optional
            Steps of the sampler, each one call of the network; fewer are faster and less exact.
        temperature : float
            Below 1 the likelier letters are preferred.
        length : int or array of n, optional
            Length of the sequences, where the training data had several. `Autoregressive`, which itself draws where a
            sequence ends, takes 64 particles for each sample to follow p(x | length) (`LookAhead`).
        random_state : int, optional
            None draws fresh entropy, so that two calls differ; the seed is kept in `seed_` and written to `out`.

        Returns
        -------
        list of str
            Their labels, where y was given, are kept in `labels_`, and written to `out`.

        Raises
        ------
        ValueError
            If an argument is not as it should be; nothing has been written then.
        """
        check_is_fitted(self, "objective_")
        seed = parameters.check_seed(random_state)
        out = None if out is None else check_output(out, self.alphabet_)
        words = None if forbid is None else Forbidden(forbid, self.alphabet_)
        order = self._order(n, y, template, guidance, words, steps, temperature, length, seed)
        return self._deliver(order, words, seed, out)

    def _deliver(self, order: Order, words: Forbidden | None, seed: int, out: Any) -> list[str]:
        """Make what was ordered, what holds forbidden words again and again, and write it."""
        device, n = order.lengths.device, len(order.lengths)
        sequences: dict[int, str] = {}
        missing: dict[int, str] = dict.fromkeys(range(n), "")
        for attempt in range(1 if words is None else 1 + TRIES):
            which = torch.tensor(sorted(missing), device=device)
            made = self._made(order, which, seed if attempt == 0 else runtime.seed_of(seed, "again", attempt))
            for i, sequence in zip(which.tolist(), made, strict=True):
                word = None if words is None else words.found(sequence)
                if word is None:
                    sequences[i] = sequence
                    del missing[i]
                else:
                    missing[i] = word
            if not missing:
                break
        if missing:
            held = ", ".join(f"{word} {count}" for word, count in Counter(missing.values()).most_common())
            found = f"{len(missing):,} of {n:,} held a forbidden word after {TRIES} more tries each ({held})"
            if not sequences:
                raise ValueError(f"{found}; forbid less, or give another template")
            warnings.warn(f"{found}; they are left out", stacklevel=3)
        self.made_ = np.array(sorted(sequences))
        self.seed_ = seed
        self.labels_ = None if order.labels is None else order.labels[self.made_]
        kept = [sequences[i] for i in self.made_.tolist()]
        if out is not None:
            self._write(kept, out, seed)
        return kept

    def _made(self, order: Order, which: Tensor, seed: int) -> list[str]:
        """Return the samples with these numbers as strings."""
        sequences: list[str] = []
        with runtime.progress(len(which), "sequence", self.verbose) as bar:
            for states in self._run(order, which, seed):
                path = iter(states)
                final = next(path)
                for state in path:
                    final = state
                    bar.update(0)  # shows the time that passes
                lengths = final.mask.sum(-1).cpu().numpy()
                sequences += self.alphabet_.decode(self.objective_.process.decode(final).cpu().numpy(), lengths)
                bar.update(len(final.x))
        return sequences

    def _write(self, sequences: list[str], out: Path, seed: int) -> None:
        model = self.run_dir_ or "unsaved"
        description = f"{type(self).__name__} model={model} seed={seed}"
        labels = label_columns(self.labels_)
        write_sequences(out, sequences, description, labels)
        if self.run_dir_ is not None and Path(self.run_dir_).is_dir():
            folder = Path(self.run_dir_) / "samples"
            try:  # a copy for the run's own folder, which may be shared and not to be written
                folder.mkdir(exist_ok=True)
                if out.resolve().parent != folder.resolve():
                    write_sequences(folder / out.name, sequences, description, labels)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                warnings.warn(f"{out} is written, but no copy in {folder}: {reason}", stacklevel=4)

    def trajectory(
        self,
        n: int = 1,
        *,
        y: Any = None,
        template: Any = None,
        guidance: Any = None,
        steps: int | None = None,
        temperature: float = 1.0,
        length: Any = None,
        random_state: int = 0,
    ) -> Iterator[State]:
        """Yield the states of up to 256 sequences on their way from noise to data; arguments as of `generate`.

        Where a guide makes each of several rows, of so many fewer, and one row of each is shown.
        """
        check_is_fitted(self, "objective_")
        Whole(1, runtime.CHUNK).check("n", n)
        seed = parameters.check_seed(random_state)
        order = self._order(n, y, template, guidance, None, steps, temperature, length, seed)
        Whole(1, runtime.CHUNK // order.guide.copies).check("n", n)
        return next(self._run(order, torch.arange(n, device=order.lengths.device), seed))

    def _order(self, n, y, template, guidance, words, steps, temperature, length, seed) -> Order:
        """Return the arguments, checked."""
        parameters.check_generate(n, steps, temperature)
        y = self._labels(y, n, seed)
        allowed = None
        if template is not None:
            allowed = parse_template(template, self.alphabet_, self.length_law_, length)
            length = len(allowed)
            if words is not None and (word := words.unavoidable(allowed)) is not None:
                raise ValueError(f"the template holds {word}, which forbid rules out; change one of them")
        free = length is None and self.objective_.process.models_length
        longest = self.length_law_.max_length
        if free:
            lengths = np.zeros(n, dtype=np.int64)  # no position is known to be real: it says where sequences end
        else:
            known = None if y is None or self.target_.kind == "signal" else self.target_.encode(y, n=n)
            lengths = parameters.check_lengths(length, n, self.length_law_, seed, known)
        width = longest if free else int(lengths.max())
        rows = torch.as_tensor(lengths)
        return self._ordered(rows, width, y, allowed, guidance, words, steps, temperature, seed)

    def _ordered(
        self, lengths, width, y, allowed, guidance, words, steps, temperature, seed, each: int = 1, particles: int = 1
    ) -> Order:
        """Return an order for sequences of lengths (n,) with allowed letters (L, K), (n, L, K) or None.

        Of n samples, `each` stand next to one another that share a y. A template takes so many `particles` where
        `guidance` does not say.
        """
        device, n = next(self.objective_.parameters()).device, len(lengths)
        guides, process, letters = as_guides(guidance), self.objective_.process, width
        lengths, ends = lengths.to(device), None
        allowed = None if allowed is None else torch.from_numpy(allowed).to(device)
        if process.models_length and process.ends and bool((lengths > 0).any()):
            # The process draws where sequences end, under a template that lets it be nowhere else.
            if allowed is None:
                allowed = torch.ones(letters, process.letters, dtype=torch.bool, device=device)
            ends, particles, lengths = lengths, PREFIXES, torch.zeros_like(lengths)
            width = min(letters + 1, process.length)
        if allowed is not None:
            ahead = [guide for guide in guides if isinstance(guide, LookAhead)]
            if len(ahead) > 1:
                raise ValueError(f"guidance holds {len(ahead)} LookAhead, but the template is one; give one of them")
            guides = [guide for guide in guides if guide not in ahead]
            alone = not any(guide.copies > 1 for guide in guides)
            particles = PREFIXES if particles > 1 and process.models_length else particles
            looking = ahead[0] if ahead else LookAhead(particles if alone else 1)
            guides.append(looking.template(process, allowed, ends, process.length if ends is not None else 0))
        if words is not None:
            if allowed is not None:  # the end token's place may hold anything
                allowed = F.pad(allowed, (0, 0, 0, width - letters), value=True)
            guides.append(Avoid(words.patterns, allowed))
        y = self._labels(y, n // each, seed)
        parameters.warn_far(y, self.target_)
        if y is not None and self.target_.kind == "signal":
            parameters.check_signal(y, letters, self.length_law_.max_length)
        cond = None if y is None else encode_condition(self.target_, y, n // each, letters, device)
        cond = None if cond is None else {name: rows.repeat_interleave(each, 0) for name, rows in cond.items()}
        if cond is not None and "signal" in cond:  # the end token has a place of its own
            cond["signal"] = F.pad(cond["signal"], (0, 0, 0, width - letters))
        labels = None if y is None or self.target_.kind == "signal" else self.target_.rows(y, n // each)
        labels = None if labels is None else labels.repeat(each, 0)
        return Order(lengths, width, cond, Chain(guides).bind(self, n, cond), steps, temperature, labels)

    def _labels(self, y: Any, n: int, seed: int) -> Any:
        """Return the labels asked for; those of n samples where they are drawn."""
        if y is not None and self.target_ is None:
            raise ValueError("y was given, but this model was fitted without labels; fit(X, y) first")
        self._check_known(y)
        return None if y is None else parameters.drawn_labels(y, self.target_, n, seed)

    def knows_no_label(self) -> bool:
        """Return whether rows without a label were learned from, so that p(x) is known beside p(x | y)."""
        return self.target_ is None or self.label_dropout > 0 or self.unlabelled_

    def _check_known(self, y: Any) -> None:
        """Raise a ValueError where a model with labels is asked for what it has never been trained on."""
        if self.target_ is None:
            return
        if y is None and not self.knows_no_label():
            raise ValueError(
                "y: got None, but this model never learned without a label (label_dropout=0); give y, 'empirical' for "
                "labels as frequent as in training"
            )
        if y is not None and self.label_dropout == 1:
            raise ValueError(
                "y was given, but label_dropout=1 hid every label in training; leave y out, or fit with a smaller one"
            )

    def _run(self, order: Order, which: Tensor, seed: int) -> Iterator[Iterator[State]]:
        """Return an iterator over one trajectory for each group of the samples with these numbers.

        Where the guide wants several rows for a sample, these stand together, and the first is what is seen of them.
        """
        device, guide = order.lengths.device, order.guide
        rows = runtime.rows_at_once(device)
        network = runtime.autocasting(guide.wrap(self.objective_.network), device, self.precision)
        network = in_batches(network, rows)

        def run(first: int) -> Iterator[State]:
            part = torch.arange(first, min(first + rows, len(which) * guide.copies), device=device)
            sample = which[part // guide.copies]
            generators = runtime.chunk_generators(len(part), device, seed, "sample", first=first // runtime.CHUNK)
            states = trajectory(
                self.objective_.process,
                network,
                order.mask(sample),
                generators,
                cond=None if order.cond is None else {k: v[sample] for k, v in order.cond.items()},
                guidance=guide.take(sample),
                steps=order.steps,
                temperature=order.temperature,
            )
            firsts = slice(None, None, guide.copies)
            return states if guide.copies == 1 else (state.take(firsts) for state in states)

        return (run(first) for first in range(0, len(which) * guide.copies, rows))


def label_columns(labels: np.ndarray | None) -> dict[str, list[Any]]:
    """Return labels by name, as they are written beside sequences; y is the name of what has none."""
    if labels is None:
        return {}
    if labels.dtype.names:
        return {name: labels[name].tolist() for name in labels.dtype.names}
    if labels.ndim == 2:
        return {f"y{j}": labels[:, j].tolist() for j in range(labels.shape[1])}
    return {"y": labels.tolist()}


def as_guides(guidance: Any) -> list[Guidance]:
    several = isinstance(guidance, Sequence) and not isinstance(guidance, str)
    guides = [] if guidance is None else list(guidance) if several else [guidance]
    for guide in guides:
        if not isinstance(guide, Guidance):
            cure = "ClassifierFree(2.0)"
            given = shorten(printable(" ".join(str(guide).split())))
            if isinstance(guide, type) and issubclass(guide, Guidance):
                given, cure = guide.__name__, f"one that was made, {guide.__name__}(...)"
            elif isinstance(guide, numbers.Real) and not isinstance(guide, bool):
                cure = f"ClassifierFree({guide})"
            elif callable(guide):
                given, cure = getattr(guide, "__name__", type(guide).__name__), "Reward(function) to follow a function"
            raise ValueError(f"guidance holds {given}, but objects of seqdiff.guidance are wanted; give {cure}")
    return guides
