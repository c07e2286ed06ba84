"""`generate` and `trajectory` of every estimator: arguments to conditions, guides and masks, states to strings."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from seqdiff import runtime
from seqdiff.data import parse_template
from seqdiff.data.writing import check_output, write_sequences
from seqdiff.estimators import parameters
from seqdiff.estimators.encoding import encode_condition
from seqdiff.guidance import Chain, Guidance, Template
from seqdiff.processes import State
from seqdiff.sampling import in_batches, trajectory


class GeneratingMixin:
    """What a fitted generator needs to write sequences."""

    objective_: Any
    alphabet_: Any
    length_law_: Any
    target_: Any
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
            Letters allowed at each position: an IUPAC string for nucleotides, or a list with the allowed letters of
            each position (None: any). Every sample satisfies it exactly; a template fixes the length.
        guidance : Guidance or list of them, optional
        steps : int, optional
            Steps of the sampler, each one call of the network; fewer are faster and less exact.
        temperature : float
            Below 1 the likelier letters are preferred.
        length : int or array of n, optional
            Length of the sequences, where the training data had several.
        random_state : int, optional
            None draws fresh entropy, so that two calls differ; the seed is kept in `seed_` and written to `out`.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If an argument is not as it should be; nothing has been written then.
        """
        check_is_fitted(self, "objective_")
        seed = runtime.fresh_seed() if random_state is None else parameters.check_seed(random_state)
        if out is not None:
            check_output(out)
        trajectories = self._trajectories(n, y, template, guidance, steps, temperature, length, seed)
        sequences: list[str] = []
        for final in self._finals(n, trajectories):
            lengths = final.mask.sum(-1).cpu().numpy()
            sequences += self.alphabet_.decode(self.objective_.process.decode(final).cpu().numpy(), lengths)
        self.seed_ = seed
        if out is not None:
            self._write(sequences, Path(out), seed)
        return sequences

    def _write(self, sequences: list[str], out: Path, seed: int) -> None:
        model = self.run_dir_ or "unsaved"
        description = f"{type(self).__name__} model={model} seed={seed}"
        write_sequences(out, sequences, description)
        if self.run_dir_ is not None and Path(self.run_dir_).is_dir():
            folder = Path(self.run_dir_) / "samples"
            folder.mkdir(exist_ok=True)
            if out.resolve().parent != folder.resolve():
                write_sequences(folder / out.name, sequences, description)

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
        """Yield the states of up to 256 sequences on their way from noise to data; arguments as of `generate`."""
        check_is_fitted(self, "objective_")
        parameters.check_number("n", n, numbers.Integral, 1, runtime.CHUNK)
        seed = parameters.check_seed(random_state)
        return next(self._trajectories(n, y, template, guidance, steps, temperature, length, seed))

    def _finals(self, n: int, trajectories: Iterator[Iterator[State]]) -> Iterator[State]:
        """Yield the final states, a group of rows at a time."""
        with runtime.progress(n, "sequence", self.verbose) as bar:
            for states in trajectories:
                path = iter(states)
                final = next(path)
                for state in path:
                    final = state
                    bar.update(0)  # shows the time that passes
                bar.update(len(final.x))
                yield final

    def _trajectories(self, n, y, template, guidance, steps, temperature, length, seed) -> Iterator[Iterator[State]]:
        """Check the arguments at once, and return an iterator over one trajectory for each group of rows."""
        parameters.check_generate(n, steps, temperature)
        device = next(self.objective_.parameters()).device
        guides = _as_guides(guidance)
        for guide in guides:
            guide.check(n)
        if template is not None:
            allowed = parse_template(template, self.alphabet_, self.length_law_, length)
            length = len(allowed)
            guides.append(Template(torch.from_numpy(allowed).to(device)))
        if y is not None and self.target_ is None:
            raise ValueError("y was given, but this model was fitted without labels; fit(X, y) first")
        y = None if y is None else parameters.drawn_labels(y, self.target_, n, seed)
        free = length is None and self.objective_.process.models_length
        longest = self.length_law_.max_length
        lengths = np.full(n, longest) if free else parameters.check_lengths(length, n, self.length_law_, seed)
        width = int(lengths.max())
        if y is not None and self.target_.kind == "signal":
            parameters.check_signal(y, width, longest)
        cond = None if y is None else encode_condition(self.target_, y, n, width, device)
        mask = torch.arange(width) < torch.as_tensor(lengths)[:, None]
        if free:
            mask = torch.zeros_like(mask)  # no position is known to be real: the process says where sequences end
        return self._run(mask.to(device), cond, guides, steps, temperature, seed)

    def _run(self, mask, cond, guides, steps, temperature, seed) -> Iterator[Iterator[State]]:
        """Return an iterator over one trajectory for each group of rows of `mask`, on the model's device."""
        device = mask.device
        rows = runtime.rows_at_once(device)
        network = runtime.autocasting(self.objective_.network, device, self.precision)
        network = in_batches(network, rows)

        def run(first: int) -> Iterator[State]:
            part = slice(first, first + rows)
            generators = runtime.chunk_generators(len(mask[part]), device, seed, "sample", first=first // runtime.CHUNK)
            return trajectory(
                self.objective_.process,
                network,
                mask[part],
                generators,
                cond=None if cond is None else {k: v[part] for k, v in cond.items()},
                guidance=Chain([g.take(part) for g in guides]),
                steps=steps,
                temperature=temperature,
            )

        return (run(first) for first in range(0, len(mask), rows))


def _as_guides(guidance: Any) -> list[Guidance]:
    several = isinstance(guidance, Sequence) and not isinstance(guidance, str)
    guides = [] if guidance is None else list(guidance) if several else [guidance]
    for guide in guides:
        if not isinstance(guide, Guidance):
            raise ValueError(f"guidance holds {guide!r}, but objects of seqdiff.guidance are wanted")
    return guides
