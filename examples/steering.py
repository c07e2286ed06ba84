"""Promoters with a higher GC content by three guides, without BsaI sites and runs of six equal letters."""

import numpy as np

from seqdiff import MaskedDiffusion, SequenceRegressor
from seqdiff.datasets import load_sigma70
from seqdiff.evaluation import gc_content
from seqdiff.guidance import ClassifierBased, ClassifierFree, Reward


def main(epochs: int = 8, n: int = 4000) -> None:
    train = load_sigma70(n, random_state=0)
    model = MaskedDiffusion(epochs=epochs, savepath=None, verbose=0).fit(train, gc_content(train))
    print(f"validation set: {min(model.evaluations_['bits_per_letter']):.3f} bits per base")
    regressor = SequenceRegressor(noise_like=model, epochs=epochs).fit(train, gc_content(train))
    asked = {"y": 0.5, "steps": 50, "random_state": 0}
    guides = {
        "no guide": {"steps": 50, "random_state": 0},
        "y alone": asked,
        "classifier-free": asked | {"guidance": ClassifierFree(2.0)},
        "classifier-based": {"guidance": ClassifierBased(regressor, 0.5, gamma=2.0), "steps": 50, "random_state": 0},
        "a reward": {"guidance": Reward(gc_content, strength=100.0, particles=8), "steps": 50, "random_state": 0},
    }
    for name, options in guides.items():
        samples = model.generate(max(8, n // 20), forbid=["BsaI", 6], **options)
        print(f"{name}: {np.mean(gc_content(samples)):.3f} G and C, {samples[0]}")


if __name__ == "__main__":
    main()
