"""`DistilledFM`: a `DirichletFM` distilled to one call of the network."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqdiff import runtime
from seqdiff.data import prepare
from seqdiff.data.images import refuse_images
from seqdiff.data.labels import as_labels
from seqdiff.errors import InputError, argument, of_kind, shown
from seqdiff.estimators.base import GeneratorBase
from seqdiff.estimators.requests import check_signal, drawn_labels, drawn_lengths
from seqdiff.evaluation import kmer_js, kmer_size
from seqdiff.inputs import LabelsLike, SequencesLike
from seqdiff.model import SampleRequest, SequenceModel, Vocabulary
from seqdiff.parameters import Real, Whole, check_parameters, parameter
from seqdiff.processes import Batch
from seqdiff.processes.base import Cond
from seqdiff.processes.dirichlet import DistilledFlow
from seqdiff.training import Settings

logger = logging.getLogger(__name__)


class DistilledFM(GeneratorBase):
    """The student of a `DirichletFM` (Stark et al. 2024, arXiv 2402.05841): one call of the network a sample.

    A flow is random only in its start, so it is a map from noise to letters; the student learns that map from pairs of
    noise and the teacher's letters. `DirichletFM.distill` fits one. Labels of the pairs are drawn as they occur in the
    training data; the share `label_dropout` of the teacher has none. Templates mask the prediction before the likeliest
    letters are taken; as these are the likeliest, `temperature` and `steps` have no effect.

    Attributes
    ----------
    quality_ : dict
        Of held-out pairs: `agreement`, the share of letters that are the teacher's; `student` and `teacher`, k-mer
        divergence (bits, k in `k`) of both from natural sequences, or from other sequences of the teacher where none
        were given; `n`, the number of sequences. Model files do not hold it.

    Examples
    --------
    >>> from seqdiff import DirichletFM
    >>> tiny = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
    >>> teacher = DirichletFM(**tiny).fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> student = teacher.distill(50, steps=5, epochs=1)
    >>> student.generate(2, template="ACGNNN", random_state=0)[0][:3]
    'ACG'
    """

    process_class = DistilledFlow
    pairs: int = parameter(20_000, Whole(2)).doc(
        """Pairs to draw from the teacher, which costs as much as generating this number of sequences. Their noise is
        kept in memory, 4 bytes for each letter of each position."""
    )
    teacher_steps: int | None = parameter(None, Whole(1)).doc(
        "Calls that the teacher makes for each pair. None: as many as by default."
    )

    def make_process(self, vocabulary: Vocabulary) -> DistilledFlow:
        return DistilledFlow(len(vocabulary.alphabet))

    def _settings(self, n: int) -> Settings:
        settings = super()._settings(n)
        settings.label_dropout = 0.0  # the pairs have been made with and without labels
        return settings

    def fit(
        self,
        X: SequencesLike,
        y: LabelsLike = None,
        *,
        validation: float | None = 0.1,
        sample_weight: None = None,
        resume: bool = False,
        natural: SequencesLike | None = None,
    ) -> DistilledFM:
        """Fit the student to a teacher.

        Parameters
        ----------
        X : DirichletFM
            The fitted teacher.
        y : optional
            Labels or signals for the pairs, as in the teacher's `fit`; None draws labels as they occur in its training
            data. A signal has to be given.
        validation : float
            Share of the pairs to hold out: the best weights by them are kept, and `quality_` is theirs.
        sample_weight : None
            Pairs have no weights.
        resume : bool
            Resume an interrupted run; the same pairs are drawn again.
        natural : sequences, optional
            Reference of `quality_`.

        Returns
        -------
        self
        """
        if not (isinstance(X, GeneratorBase) and X.fitted().process.distils_to is DistilledFlow):
            found = repr(X) if isinstance(X, str) else of_kind(X)
            raise InputError(argument("X"), found, "a fitted DirichletFM, from which a DistilledFM learns", "give one")
        teacher = X.fitted()
        refuse_images(teacher.alphabet, "the metrics of a student")
        check_parameters(self)
        self._draw_seed()
        Real(0, 0.9).check("validation", validation)
        if sample_weight is not None:
            wanted = "None, as pairs are drawn from the teacher"
            raise InputError(argument("sample_weight"), shown(sample_weight), wanted, "leave it out")
        if natural is not None:
            natural = prepare(natural, alphabet=teacher.alphabet, ambiguous="drop").sequences
        device = runtime.choose_device(self.device)
        runtime.autocast(device, self.precision)
        objective = self.build(teacher.vocabulary)
        _take_over(objective.network, teacher.network)
        everything = self._draw_pairs(teacher, y).to(device)
        held = min(max(1, round(float(validation) * self.pairs)), self.pairs - 1) if validation else 0
        train, valid = everything.take(slice(held, None)), everything.take(slice(held)) if held else None
        source = f"{teacher.name} {X.run_dir_ or ''}".strip()
        model = self._model(objective, teacher.vocabulary)
        self._optimise(model, train, valid, [_digest(everything), str(held)], source, [], resume)
        if valid is not None:
            self.quality_ = self._judge(valid, train, natural)
        return self

    def _draw_pairs(self, teacher: SequenceModel, y: LabelsLike) -> Batch:
        """Return noise and the teacher's letters for it."""
        n, seed = int(self.pairs), runtime.seed_of(self._seed(), "pairs")  # of no seed that a user types
        lengths_of, target, device = teacher.lengths, teacher.target, teacher.device
        longest = lengths_of.max_length
        if y is not None and target is None:
            wanted = "None, as the teacher was fitted without labels"
            raise InputError(argument("y"), shown(y), wanted, "leave it out")
        cond = None if target is None else self._draw_conditions(teacher, y, n, seed)
        labels = None if cond is None else {name: rows.cpu().numpy() for name, rows in cond.items()}
        lengths = torch.as_tensor(drawn_lengths(None, n, lengths_of, seed, labels)).to(device)
        if cond is not None:
            stay = runtime.uniform((n,), runtime.generator_for(device, seed, "unlabelled"), device)
            cond["keep"] &= stay >= teacher.label_dropout
            if "signal" in cond:
                cond["signal"] *= (torch.arange(longest, device=device) < lengths[:, None])[..., None]
        request = SampleRequest(lengths, longest, cond, steps=self.teacher_steps)
        noise, letters = [], []
        with torch.no_grad():
            for first, last in teacher.finished(request, torch.arange(n, device=device), seed, self.verbose, "pair"):
                noise.append(first.x)
                letters.append(teacher.process.decode(last))
        return Batch(torch.cat(letters), lengths, cond, noise=torch.cat(noise))

    @staticmethod
    def _draw_conditions(teacher: SequenceModel, y: Any, n: int, seed: int) -> dict[str, Tensor]:
        target, longest, device = teacher.target, teacher.lengths.max_length, teacher.device
        assert target is not None
        if y is None:
            if target.kind == "signal":
                wanted = "signals, as the teacher learned one and it cannot be drawn"
                raise InputError(argument("y"), "None", wanted, "give some, as in fit")
            y = drawn_labels("empirical", target, n, seed)
            return teacher.vocabulary.condition(y, n, longest, device) or {}
        if isinstance(y, Mapping):
            y = as_labels(y)
        if not np.ndim(y) or not len(y):
            wanted = "labels to draw from, in an array or list, or None"
            raise InputError(argument("y"), shown(y), wanted, "give one of these")
        if target.kind == "signal":
            check_signal(y, longest, longest)
        given: Cond = teacher.vocabulary.condition(y, len(y), longest, device)
        rows = runtime.uniform((n,), runtime.generator_for(device, seed, "labels"), device)
        return {name: values[(rows * len(y)).long()] for name, values in (given or {}).items()}

    def _judge(self, held: Batch, others: Batch, natural: list[str] | None) -> dict[str, Any]:
        """Return `quality_`, from the letters of student and teacher for the same held-out noise."""
        model, device = self.fitted(), held.x0.device
        process, generator = model.process, runtime.generator_for(device, 0)
        state = process.prior(held.mask, generator).replace(x=held.noise)
        with torch.no_grad():
            kernel = process.predict(model.denoiser(), state, held.cond)
        found = process.decode(process.step(state, 1.0, kernel, generator))
        agreement = float((found == held.x0)[held.mask].to(runtime.widest(device)).mean())
        lengths = held.lengths.cpu().numpy()
        made = {"student": self._strings(found, held.lengths), "teacher": self._strings(held.x0, held.lengths)}
        beside = self._strings(others.x0, others.lengths) if natural is None else natural
        k = kmer_size(len(self.alphabet_), lengths)
        quality: dict[str, Any] = {"agreement": agreement, "k": k, "n": len(held)}
        quality |= {name: kmer_js(sequences, beside, k=k) for name, sequences in made.items()}
        what = "other letters of the teacher" if natural is None else "natural sequences"
        runtime.say(
            logger,
            f"{100 * agreement:.1f}% of the letters of {len(held):,} held-out sequences are the teacher's; {k}-mer "
            f"divergence from {what}: student {quality['student']:.4f} bits, teacher {quality['teacher']:.4f}",
            self.verbose,
        )
        return quality

    def _strings(self, tokens: Tensor, lengths: Tensor) -> list[str]:
        return self.alphabet_.decode(tokens.cpu().numpy(), lengths.cpu().numpy())


def _take_over(student: torch.nn.Module, teacher: torch.nn.Module) -> None:
    """Start with the teacher's weights, where the networks are of one size."""
    own, given = student.state_dict(), teacher.state_dict()
    if {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in given.items()}:
        student.load_state_dict(given)


def _digest(pairs: Batch) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for tensor in (pairs.x0, pairs.lengths, *(pairs.cond or {}).values(), pairs.noise):
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())  # type: ignore[union-attr]
    return digest.hexdigest()
