"""`DirichletFM`: flow matching on the simplex under scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqdiff.estimators.base import GeneratorBase
from seqdiff.estimators.distilled import DistilledFM
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.inputs import LabelsLike, SequencesLike
from seqdiff.model import Vocabulary
from seqdiff.parameters import Choice, Real, Whole, parameter, parameters_of
from seqdiff.processes.dirichlet import DirichletFlow, LinearFlow, SimplexFlow, Solver, euler, heun
from seqdiff.training import TrainingParameters

PATHS: dict[str, Callable[[int, int, Solver, float], SimplexFlow]] = {
    "dirichlet": DirichletFlow,
    "linear": lambda letters, steps, solver, t_max: LinearFlow(letters, steps, solver),
}
SOLVERS: dict[str, Solver] = {"euler": euler, "heun": heun}
OWN_OF_STUDENT = parameters_of(TrainingParameters).keys() - {"batch_size", "precision", "verbose"} | {"model_name"}
"""Common parameters that a student does not take over from its teacher: how to train, and its name."""


class DirichletFM(SequenceGenerator):
    """Dirichlet flow matching (Stark et al. 2024, arXiv 2402.05841).

    Each letter is a vertex of a simplex. A sample starts as random points in it, one for each position, and all of
    them flow towards letters along a velocity that is known in closed form; the network has only to say which letters,
    from the other positions: what a point itself says of its letter is added.
    Few calls of the network are enough. There is no likelihood, so no `score_samples`: what training and validation
    report as bits per letter is the cross-entropy of the letters at random times, which says which of two networks
    predicts better and no more.

    Examples
    --------
    >>> from seqdiff import DirichletFM
    >>> model = DirichletFM(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, steps=10, template="ACGNNN", random_state=0))
    3
    >>> hasattr(model, "score_samples")
    False
    """

    process_class = SimplexFlow
    path: str = parameter("dirichlet", Choice(tuple(PATHS))).doc(
        """Path from noise to a letter. The linear path decides early, the earlier the more letters the alphabet has; it
        is there to be compared with."""
    )
    t_max: float = parameter(7.0, Real(1e-3, 1e3)).doc(
        """End of sampling along the Dirichlet path: the larger, the closer points come to their letters. The linear
        path ends at 1, whatever this is."""
    )
    solver: str = parameter("euler", Choice(tuple(SOLVERS))).doc(
        '`"heun"` takes steps of two calls each, whose error falls with the square of their length.'
    )
    sampling_steps: int = parameter(50, Whole(1)).doc(
        "Calls of the network per sample where `generate` has no `steps`, with either solver."
    )
    known_share: float = parameter(0.0, Real(0, 1)).doc(
        """Share of the training rows of which a random part of the letters is known, as templates and `infill` make
        them: above 0 the network learns to write what suits known letters. 0.25 took repeats of four letters that
        `infill` completes rightly from 91 to 95 in 100."""
    )

    def make_process(self, vocabulary: Vocabulary) -> SimplexFlow:
        letters, calls = len(vocabulary.alphabet), int(self.sampling_steps)
        process = PATHS[self.path](letters, calls, SOLVERS[self.solver], float(self.t_max))
        process.known_share = float(self.known_share)
        return process

    def distill(
        self,
        n: int = 20_000,
        *,
        y: LabelsLike = None,
        steps: int | None = None,
        natural: SequencesLike | None = None,
        resume: bool = False,
        **settings: Any,
    ) -> DistilledFM:
        """Return a student that generates in one call of the network, fitted to `n` pairs of noise and letters.

        Its `quality_`, and a message, compare it with this model.

        Parameters
        ----------
        n : int
            Pairs to draw, as costly as generating this number of sequences: more make a better student.
        y, natural, resume
            As of `DistilledFM.fit`.
        steps : int, optional
            Calls of the network that this model makes for a pair; None is `sampling_steps`.
        **settings
            Parameters of `DistilledFM`: ``epochs``, ``lr``, ``model_name``, ... Network, batch size, savepath, device,
            seed and the like are this model's where they are not given.

        Returns
        -------
        DistilledFM
        """
        self.fitted()
        shared = {name: getattr(self, name) for name in parameters_of(GeneratorBase).keys() - OWN_OF_STUDENT}
        student = DistilledFM(**{**shared, **settings, "pairs": n, "teacher_steps": steps})
        return student.fit(self, y, resume=resume, natural=natural)
