"""Uniform diffusion of promoters with a -10 box; letters are resampled until the end: a minute on a laptop."""

import math

from seqdiff import UniformDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob


def main(epochs: int = 10, n: int = 4000, n_test: int = 500) -> None:
    train, test = load_sigma70(n, random_state=0), load_sigma70(n_test, random_state=1)
    model = UniformDiffusion(epochs=epochs, lr=3e-3, savepath=None, verbose=0).fit(train)
    bits = math.log(2) * len(test[0])
    print(f"test set: {-model.score(test) / bits:.3f} bits per base")
    print(f"true distribution: {-sigma70_log_prob(test).mean() / bits:.3f}")
    print(*model.generate(3, steps=50, template="N" * 31 + "TATAAT" + "N" * 13, random_state=0), sep="\n")


if __name__ == "__main__":
    main()
