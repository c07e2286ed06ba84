"""Promoters as noised vectors: an upper bound of the bits, what each part of the loss does, and a template."""

import math

from seqdiff import EmbeddingDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob


def main(epochs: int = 8, n: int = 4000) -> None:
    train, held_out = load_sigma70(n, random_state=0), load_sigma70(500, random_state=1)
    model = EmbeddingDiffusion(epochs=epochs, savepath=None, verbose=0).fit(train)
    bits = math.log(2) * len(held_out[0])
    print(f"held out: at most {-model.score(held_out) / bits:.3f} bits per base")
    print(f"the law itself: {-sigma70_log_prob(held_out).mean() / bits:.3f}")
    for part in ("denoising", "rounding", "end"):
        print(f"{part} costs {model.history_[part][-1] / bits:.4f} bits per base in the last epoch of training")
    print("with a -10 box:", *model.generate(3, template="N" * 25 + "TATAAT" + "N" * 19, random_state=0), sep="\n")


if __name__ == "__main__":
    main()
