"""Peptide-like words of mixed length by schedule-conditioned diffusion, with BLOSUM62's substitutions as the noise."""

import numpy as np

from seqdiff import SCUD


def main(epochs: int = 12, n: int = 500) -> list[str]:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("AG"), k)) + "KWK" + "L" * (k // 2) for k in rng.integers(2, 9, 2000)]
    model = SCUD(alphabet="protein", forward="blosum62", epochs=epochs, savepath=None, verbose=0)
    model.fit(words[:1800], validation=words[1800:])
    bits = -model.score(words[1800:]) / np.log(2) / np.mean([len(w) for w in words[1800:]])
    samples = model.generate(n, steps=50, random_state=0)
    right = np.mean([s[:k] + "KWK" + "L" * (k // 2) == s and k > 1 for s in samples if (k := s.find("K"))])
    print(f"at most {bits:.3f} bits per letter; {right:.1%} of the samples keep the rule, like {samples[0]}")
    return samples


if __name__ == "__main__":
    main()
