"""Learn simulated promoters by masked diffusion, score held-out ones and write new ones: a minute on a laptop."""

import math

from seqdiff import MaskedDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob


def main(epochs: int = 8, n: int = 4000) -> None:
    train, held_out = load_sigma70(n, random_state=0), load_sigma70(500, random_state=1)
    model = MaskedDiffusion(epochs=epochs, lr=3e-3, savepath=None, verbose=0).fit(train)
    bits = math.log(2) * len(held_out[0])
    print(f"held out: {-model.score(held_out) / bits:.3f} bits per base")
    print(f"the law itself: {-sigma70_log_prob(held_out).mean() / bits:.3f}")
    print("exact, a call of the network per letter:", *model.generate(3, random_state=0), sep="\n")
    print(
        "ten calls each, with a -10 box:",
        *model.generate(3, steps=10, template="N" * 25 + "TATAAT" + "N" * 19, random_state=0),
        sep="\n",
    )


if __name__ == "__main__":
    main()
