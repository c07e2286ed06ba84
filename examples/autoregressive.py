"""Peptide-like words of different lengths: an exact likelihood, and samples that end by themselves."""

import numpy as np

from seqdiff import Autoregressive


def main(epochs: int = 12, n: int = 1000) -> list[str]:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("AG"), k)) + "KWK" + "L" * (k // 2) for k in rng.integers(2, 9, 2000)]
    model = Autoregressive(alphabet="protein", epochs=epochs, savepath=None).fit(words[:1800], validation=words[1800:])
    bits = -model.score(words[1800:]) / np.log(2) / np.mean([len(w) for w in words[1800:]])
    samples = model.generate(n, random_state=0)
    right = np.mean([s[:k] + "KWK" + "L" * (k // 2) == s and k > 1 for s in samples if (k := s.find("K"))])
    print(f"{bits:.3f} bits per letter, the end included; {right:.1%} of the samples keep the rule, like {samples[0]}")
    return samples


if __name__ == "__main__":
    main()
