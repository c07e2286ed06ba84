"""Embedding diffusion of promoters: an upper bound of the bits, the parts of the loss, and a template."""

import math

from seqdiff import EmbeddingDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob


def main(epochs: int = 8, n: int = 4000, n_test: int = 500) -> None:
    train, test = load_sigma70(n, random_state=0), load_sigma70(n_test, random_state=1)
    model = EmbeddingDiffusion(epochs=epochs, savepath=None, verbose=0).fit(train)
    bits = math.log(2) * len(test[0])
    print(f"test set: at most {-model.score(test) / bits:.3f} bits per base")
    print(f"true distribution: {-sigma70_log_prob(test).mean() / bits:.3f}")
    for part in ("denoising", "rounding", "end"):
        print(f"{part} loss in the last epoch: {model.history_[part][-1] / bits:.4f} bits per base")
    print("with a -10 box:", *model.generate(3, template="N" * 25 + "TATAAT" + "N" * 19, random_state=0), sep="\n")


if __name__ == "__main__":
    main()
