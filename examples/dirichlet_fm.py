"""Dirichlet flow matching of promoters: samples from a few network evaluations, and from one after distillation."""

from seqdiff import DirichletFM
from seqdiff.datasets import load_sigma70
from seqdiff.evaluation import kmer_js


def main(epochs: int = 8, n: int = 4000) -> None:
    train, natural = load_sigma70(n, random_state=0), load_sigma70(n, random_state=1)
    model = DirichletFM(epochs=epochs, savepath=None, verbose=0).fit(train)
    print(f"cross-entropy at random times: {min(model.evaluations_['bits_per_letter']):.3f} bits per base")
    print(f"natural sequences: {kmer_js(train, natural):.4f} bits of 6-mer divergence from each other")
    for calls in (5, 20):
        samples = model.generate(n, steps=calls, random_state=0)
        print(f"{calls} network evaluations: {kmer_js(samples, natural):.4f}")
    student = model.distill(n // 2, steps=20, epochs=epochs)
    print(f"the student, one evaluation: {kmer_js(student.generate(n, random_state=0), natural):.4f}")


if __name__ == "__main__":
    main()
