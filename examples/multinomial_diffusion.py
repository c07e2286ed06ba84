"""Multinomial diffusion: train on 5,000 promoters, generate 100 new ones; about half a minute on a laptop.

Run it with `python examples/multinomial_diffusion.py`. The promoters are simulated, so nothing is downloaded and the
best possible score is known. For your own sequences, pass the file name to `fit`.
"""

from seqdiff import MultinomialDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob
from seqdiff.evaluation import bits_per_letter


def main(n: int = 5_000, epochs: int = 6, n_test: int = 200) -> None:
    promoters, test = load_sigma70(n), load_sigma70(n_test, random_state=1)

    model = MultinomialDiffusion(
        length=50, network="conv", lr=2e-3, lr_schedule="cosine", batch_size=128, epochs=epochs
    )
    model.fit(promoters)

    # Bits per base: 2 for random letters; no model can be below the true distribution. The model's value is a bound.
    print(f"model               {bits_per_letter(model.score_samples(test), test):.3f} bits per base")
    print(f"true distribution   {bits_per_letter(sigma70_log_prob(test), test):.3f}")

    # The template fixes a -35 and a -10 element at their usual positions.
    template = "N" * 14 + "TTGACA" + "N" * 17 + "TATAAT" + "N" * 7
    new = model.generate(100, out="new_promoters.fasta", template=template, steps=25)
    print("\n".join(new[:3]))
    print(f"100 promoters in new_promoters.fasta, the model in {model.run_dir_}")


if __name__ == "__main__":
    main()
