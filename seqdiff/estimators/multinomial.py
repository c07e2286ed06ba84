"""`MultinomialDiffusion`: GPro's generator under scikit-learn's interface."""

from __future__ import annotations

from typing import Any

from seqdiff.estimators.generator import SequenceGenerator
from seqdiff.estimators.parameters import ORDER
from seqdiff.model import Vocabulary
from seqdiff.parameters import Whole, parameter
from seqdiff.processes import Multinomial


class MultinomialDiffusion(SequenceGenerator):
    """Multinomial diffusion (Hoogeboom et al. 2021, arXiv 2102.05379), as in GPro's `Diffusion_language`.

    The defaults are GPro's: a linear transformer of 51.5 million parameters, 100 steps of noise, 200 epochs at batch
    size 32. They are meant for a GPU. On a CPU ``network="conv", lr=2e-3, batch_size=128, epochs=20`` is as good and
    needs minutes.

    Examples
    --------
    >>> from seqdiff import MultinomialDiffusion
    >>> model = MultinomialDiffusion(network="conv", width=8, depth=1, epochs=1, savepath=None, verbose=0)
    >>> model = model.fit(["ACGTAC", "ACGTTC", "ACGAAC", "ACCTAC"])
    >>> len(model.generate(3, template="ACGNNN", random_state=0))
    3
    """

    process_class = Multinomial
    diffusion_steps: int = parameter(100, Whole(1, 1_000_000)).doc("T, the steps of noise; `generate` may take fewer.")
    heads: int | None = parameter(None, Whole(1, 10_000)).doc(
        "Attention heads. None is the network's own number: linear-transformer 16, transformer 4."
    )
    local_heads: int = parameter(8, Whole(0, 10_000)).doc("Heads of the linear transformer that are local.")
    local_size: int = parameter(25, Whole(1, 1_000_000)).doc("Letters in the window of a local head.")
    order: str = ORDER
    defaults = {
        "network": "linear-transformer", "epochs": 200, "batch_size": 32, "lr": 1e-4, "lr_schedule": "exponential",
        "warmup": 0, "weight_decay": 0.0, "eval_every": 2, "check_every": 20,
    }  # fmt: skip

    def make_process(self, vocabulary: Vocabulary) -> Multinomial:
        return Multinomial(len(vocabulary.alphabet), self.diffusion_steps, spread=self.order == "spread")

    def network_settings(self) -> dict[str, Any]:
        own = {"heads": self.heads, "local_heads": self.local_heads, "local_size": self.local_size}
        return super().network_settings() | own
