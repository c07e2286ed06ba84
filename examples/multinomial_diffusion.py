"""Learn 5,000 promoters with multinomial diffusion, write 100 new ones: about half a minute on a laptop.

Run it with `python examples/multinomial_diffusion.py`. The promoters are simulated, so nothing is downloaded and the
best figure that any model could reach is known. With sequences of your own, give `fit` the file's name instead.
"""

from seqdiff import MultinomialDiffusion
from seqdiff.datasets import load_sigma70, sigma70_log_prob
from seqdiff.evaluation import bits_per_letter


def main(n: int = 5_000, epochs: int = 6, n_test: int = 200) -> None:
    promoters, held_out = load_sigma70(n), load_sigma70(n_test, random_state=1)

    model = MultinomialDiffusion(
        length=50, network="conv", lr=2e-3, lr_schedule="cosine", batch_size=128, epochs=epochs
    )
    model.fit(promoters)

    # Bits per base: 2 is a random letter, the truth is the least that is possible. The model's figure is a bound.
    print(f"the model   {bits_per_letter(model.score_samples(held_out), held_out):.3f} bits per base")
    print(f"the truth   {bits_per_letter(sigma70_log_prob(held_out), held_out):.3f}")

    # A -35 and a -10 element at their usual places, everything else up to the model.
    template = "N" * 14 + "TTGACA" + "N" * 17 + "TATAAT" + "N" * 7
    new = model.generate(100, out="new_promoters.fasta", template=template, steps=25)
    print("\n".join(new[:3]))
    print(f"100 promoters in new_promoters.fasta, the model in {model.run_dir_}")


if __name__ == "__main__":
    main()
