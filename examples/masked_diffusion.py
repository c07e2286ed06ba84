"""Masked diffusion of simulated promoters: training, scores of a test set and samples, in a minute on a laptop."""

import math

from seqdiff import MaskedDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob


def main(epochs: int = 8, n: int = 4000, n_test: int = 500) -> None:
    train, test = load_sigma70(n, random_state=0), load_sigma70(n_test, random_state=1)
    model = MaskedDiffusion(epochs=epochs, lr=3e-3, savepath=None, verbose=0).fit(train)
    bits = math.log(2) * len(test[0])
    print(f"test set: {-model.score(test) / bits:.3f} bits per base")
    print(f"true distribution: {-sigma70_log_prob(test).mean() / bits:.3f}")
    print("exact sampling, one network evaluation per letter:", *model.generate(3, random_state=0), sep="\n")
    print(
        "ten evaluations, with a -10 box:",
        *model.generate(3, steps=10, template="N" * 25 + "TATAAT" + "N" * 19, random_state=0),
        sep="\n",
    )


if __name__ == "__main__":
    main()
