"""`UniformDiffusion`: UDLM under scikit-learn's interface."""

from __future__ import annotations

from seqdiff.errors import InputError, argument, shown
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.parameters import ORDER
from seqdiff.model import Vocabulary
from seqdiff.parameters import Real, Whole, parameter
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
    renoising: float = parameter(0.0, Real(0, 1)).doc(
        """In continuous time: the probability with which each letter, in the later steps of sampling, is predicted and
        noised anew (arXiv 2602.21185), so that mistakes are corrected. With 1 more molecules are valid. Above 0 samples
        do not follow the model's distribution, even with many steps."""
    )

    def make_process(self, vocabulary: Vocabulary) -> Process:
        letters, steps, spread = len(vocabulary.alphabet), self.diffusion_steps, self.order == "spread"
        if steps is None:
            return Uniform(letters, renoising=float(self.renoising), spread=spread)
        if self.renoising:
            wanted, cure = f"0 with {argument('diffusion_steps')}", f"give that, or {argument('diffusion_steps', None)}"
            raise InputError(argument("renoising"), shown(self.renoising), wanted, cure)
        return Multinomial(letters, steps, linear_keep(steps), spread=spread)
