"""`MaskedDiffusion`: masked diffusion under scikit-learn's interface."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from seqdiff.errors import InputError, argument, shown
from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.model import Vocabulary
from seqdiff.parameters import Choice, Real, Switch, Whole, parameter
from seqdiff.processes.masked import ConfidentFirst, FirstHitting, MarginFirst, Masked, Planned

_PROCESSES = {
    ("ancestral", "random"): Masked,
    ("ancestral", "spread"): partial(Masked, spread=True),
    ("first-hitting", "random"): FirstHitting,
    ("first-hitting", "spread"): partial(FirstHitting, spread=True),
    ("first-hitting", "confidence"): ConfidentFirst,
    ("first-hitting", "margin"): MarginFirst,
    ("first-hitting", "planned"): Planned,
}


class MaskedDiffusion(SequenceGenerator):
    """Masked diffusion (MDLM, Sahoo et al. 2024, arXiv 2406.07524): letters are masked and predicted.

    ``MaskedDiffusion.preset("long")`` trains for 200 epochs, five times the default on 10,000 sequences, and overtakes
    autoregressive models on few data (arXiv 2507.15857).

    Examples
    --------
    >>> from seqdiff import MaskedDiffusion
    >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, template="ACGNNN", random_state=0))
    3
    """

    process_class = Masked
    presets = {"long": {"epochs": 200, "lr": 4e-3, "dropout": 0.03, "time_sampling": "uniform"}}
    diffusion_steps: int | None = parameter(None, Whole(1, 1_000_000)).doc(
        "T of the bound that is trained and scored. None is continuous time, which is tighter."
    )
    time_conditioning: bool = parameter(False, Switch()).doc(
        "Whether the network takes the time as input, which the masks show already."
    )
    time_sampling: str = parameter("bell", Choice(("uniform", "bell"))).doc(
        """Shares of masks in training: `"bell"`, near 1/2 more often (arXiv 2605.13026), with which the bound of the
        held-out sequences falls faster; `"uniform"`, as the bound has it, so that the training loss estimates it."""
    )
    block_size: int | None = parameter(None, Whole(1, 1_000_000)).doc(
        """Letters of a block (block diffusion, arXiv 2503.09573): blocks are generated from left to right, the letters
        of each by diffusion, so that fewer contexts have to be learned. For molecules, whose letters close what others
        open, 4 has a better bound and more valid samples than None, a single block. Known letters of a template are
        then not seen beforehand: give `LookAhead`."""
    )
    sampler: str = parameter("first-hitting", Choice(("first-hitting", "ancestral"))).doc(
        """`"first-hitting"` (arXiv 2409.02908) is exact with one network call per letter; with fewer `steps` of
        `generate`, and by default beyond 1,000 letters, each call generates several letters. `"ancestral"` goes through
        times (100 by default, or T) and is exact in the limit of many."""
    )
    order: str = parameter("spread", Choice(("random", "spread", "confidence", "margin", "planned"))).doc(
        """The letters of a call: `"spread"`, letters far from one another, so that few steps sample almost as well as
        many; `"random"`, any; for first-hitting sampling also those with the largest probability, or with the largest
        distance between the two largest, and `"planned"` (P2, arXiv 2502.03540): letters that turn out unlikely are
        masked again, in 100 calls by default, so that most molecules are valid. The last three prefer likely letters
        and do not sample the model's distribution: sequences without a grammar, such as promoters, become monotonous,
        above all by `"planned"`."""
    )
    remasking: float = parameter(0.0, Real(0, 1)).doc(
        """For the ancestral sampler: share of the largest possible probability with which letters are masked again
        (ReMDM, arXiv 2503.00307, rescaled), so that mistakes can be corrected."""
    )

    def make_process(self, vocabulary: Vocabulary) -> Masked:
        make: Any = _PROCESSES.get((self.sampler, self.order))
        if make is None:
            self._needs("order", "'random' or 'spread'", "sampler", "first-hitting")
        if self.sampler == "ancestral":
            make = partial(make, remasking=float(self.remasking))
            if self.block_size is not None:
                self._needs("block_size", "None", "sampler", "first-hitting")
        elif self.remasking:
            self._needs("remasking", "0", "sampler", "ancestral")
        if self.block_size is not None and self.diffusion_steps is not None:
            self._needs("block_size", "None", "diffusion_steps", None)
        bell = self.time_sampling == "bell"
        letters, timed = len(vocabulary.alphabet), bool(self.time_conditioning)
        return make(letters, self.diffusion_steps, timed, bell=bell, block=self.block_size)

    def _needs(self, name: str, wanted: str, other: str, cure: Any) -> NoReturn:
        """Raise an InputError: `name` must be as `wanted` unless `other` is as `cure`."""
        wanted = f"{wanted} with {argument(other, getattr(self, other))}"
        raise InputError(argument(name), shown(getattr(self, name)), wanted, f"give that, or {argument(other, cure)}")
