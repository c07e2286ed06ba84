"""`UniformDiffusion`: UDLM under scikit-learn's interface."""

from __future__ import annotations

from seqdiff.estimators.base import SequenceGenerator
from seqdiff.estimators.parameters import ORDER
from seqdiff.model import Vocabulary
from seqdiff.parameters import Whole, parameter
from seqdiff.processes import Multinomial, Process, Uniform
from seqdiff.processes.uniform import linear_keep


class UniformDiffusion(SequenceGenerator):
    """Uniform diffusion in continuous time (UDLM, Schiff et al. 2024, arXiv 2412.10193).

    Letters are replaced by random ones and restored step by step; unlike in masked diffusion each may change several
    times, which guidance needs. The network takes the time as input.

    Examples
    --------
    >>> from seqdiff import UniformDiffusion
    >>> model = UniformDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, steps=10, template="ACGNNN", random_state=0))
    3
    """

    process_class = Uniform
    diffusion_steps: int | None = parameter(None, Whole(1, 1_000_000)).doc(
        "None is continuous time, whose bound is tighter; a number T is the same process in T steps."
    )
    order: str = ORDER

    def make_process(self, vocabulary: Vocabulary) -> Process:
        letters, steps, spread = len(vocabulary.alphabet), self.diffusion_steps, self.order == "spread"
        return (
            Uniform(letters, spread=spread)
            if steps is None
            else Multinomial(letters, steps, linear_keep(steps), spread=spread)
        )
