"""Human T-cell receptors (CDR3 beta, amino acids) from OLGA's distribution: bits and samples against the truth.

The true probability of a sequence is known, so a model's bits minus the true bits are its KL divergence from the true
distribution. OLGA's Pgen includes every recombination; the sequences here are productive ones (in frame, no stop codon,
first letter C, last letter F, V or W), with the probability Pgen / P(productive):

    bits above the truth = mean over sequences of  log2 Pgen(x) - log2 P(productive) - log2 p_model(x)

paired on the 1,000 test sequences with Pgen in the file. The metrics of samples are the Jensen-Shannon divergence
between histograms of -log2 Pgen (2-bit bins from 0 to 120, one more bin for Pgen = 0) of 2,000 samples and of the first
2,000 test sequences, and the share copied from the training set.

    pip install olga numba          # GPL-3, for Pgen of the samples; without it likelihoods only
    python benchmarks/olga_trb.py --check      # values of the truth and of the baselines, no training
    python benchmarks/olga_trb.py --seeds 1 --csv olga.csv
    python benchmarks/olga_trb.py --models Autoregressive --no-test --set dropout=0.3     # to choose settings
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import (
    Rows,
    add_no_test,
    begin,
    bits_error,
    data_file,
    make_models,
    model_parser,
    nats,
    show,
    timed_fit,
    timed_generate,
)

from seqdiff.data import random_split
from seqdiff.evaluation import copied_fraction

# Sum of Pgen over all productive amino-acid sequences of OLGA 1.3.0's human_T_beta: computed by `productive_share`.
P_PRODUCTIVE = 0.244285
EDGES = np.append(np.arange(0, 121, 2.0), np.inf)  # the last bin includes Pgen = 0


class Olga:
    """OLGA's human T-cell receptor beta model.

    Raises
    ------
    ImportError
        If olga is not installed.
    """

    def __init__(self) -> None:
        import olga
        from olga import generation_probability, load_model

        folder = Path(olga.__file__).parent / "default_models" / "human_T_beta"
        genes, recombination = load_model.GenomicDataVDJ(), load_model.GenerativeModelVDJ()
        anchors = [str(folder / f"{gene}_gene_CDR3_anchors.csv") for gene in "VJ"]
        genes.load_igor_genomic_data(str(folder / "model_params.txt"), *anchors)
        recombination.load_and_process_igor_model(str(folder / "model_marginals.txt"))
        self.model = generation_probability.GenerationProbabilityVDJ(recombination, genes)
        try:
            from olga.performance.fast_pgen import FastPgen

            FastPgen(self.model)  # replaces methods of the model by faster ones
        except (ImportError, RuntimeError):
            print("Without numba, Pgen takes minutes", flush=True)

    def bits(self, sequences: Sequence[str]) -> np.ndarray:
        """Return -log2 Pgen of each sequence, inf for Pgen = 0."""
        pgen = {s: self.model.compute_aa_CDR3_pgen(s, print_warnings=False) for s in set(sequences)}
        with np.errstate(divide="ignore"):
            return -np.log2([pgen[s] for s in sequences])

    def productive_share(self, longest: int = 40) -> float:
        """Return P(productive): with X for any letter, one Pgen sums over all sequences of a length."""
        patterns = [f"C{'X' * (n - 2)}{end}" for n in range(3, longest + 1) for end in "FVW"]
        return sum(self.model.compute_aa_CDR3_pgen(pattern, print_warnings=False) for pattern in patterns)


def divergence(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence in bits between the histograms of two sets of -log2 Pgen."""
    p, q = (np.histogram(np.minimum(x, 1e9), EDGES)[0] / len(x) for x in (a, b))
    middle = (p + q) / 2
    terms = [np.where(x > 0, x * np.log2(np.where(x > 0, x, 1) / np.where(x > 0, middle, 1)), 0) for x in (p, q)]
    return float((terms[0].sum() + terms[1].sum()) / 2)


def mean_error(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def markov(train: list[str], order: int, n: int) -> list[str]:
    """Generate n sequences from the counts of a Markov chain with start and end."""
    following: dict[str, list[str]] = defaultdict(list)
    for s in train:
        padded = "^" * order + s + "$"
        for i in range(order, len(padded)):
            following[padded[i - order : i]].append(padded[i])
    rng, samples = np.random.default_rng(0), []
    for _ in range(n):
        text = "^" * order
        while not text.endswith("$"):
            choices = following[text[-order:]]
            text += choices[rng.integers(len(choices))]
        samples.append(text[order:-1])
    return samples


def check(olga: Olga, test: list[str]) -> None:
    """Print the values of the true distribution, which the scores have to reproduce."""
    print(f"P(productive) = {olga.productive_share():.6f}, the script has {P_PRODUCTIVE}")
    bits = olga.bits(test) + np.log2(P_PRODUCTIVE)
    for n in (1000, 4000, len(test)):
        mean, error = mean_error(bits[:n])
        print(f"entropy given productive, {n} test sequences: {mean:.2f} +- {error:.2f} bits")
    print(f"JS of test sequences 2,001 to 4,000 to the first 2,000: {divergence(bits[2000:4000], bits[:2000]):.4f}")


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = model_parser(__doc__)
    parser.add_argument("--samples", type=int, default=2000, help="0 for none")
    parser.add_argument("--steps", type=int, help="steps of sampling; default: those of each model")
    add_no_test(parser)
    parser.add_argument("--check", action="store_true", help="only the values of the truth and the baselines")
    args = parser.parse_args()
    begin()
    train, test = (data_file(f"olga/trb_aa_{part}.txt").read_text().split() for part in ("train", "test_iid"))
    known = pd.read_csv(data_file("olga/trb_aa_test_iid_pgen.tsv"), sep="\t")
    known = known[: args.limit]
    truth = np.log2(known.pgen.to_numpy()) - np.log2(P_PRODUCTIVE)
    train = train[: args.limit]
    try:
        olga = Olga() if args.samples or args.check else None
    except ImportError:
        olga = None
        print("Without olga, there is no Pgen of samples", flush=True)
    natural = test[: min(args.samples, 2000)]
    natural_bits = None if olga is None else olga.bits(natural)
    kept, held = random_split(len(train), 0.1, 0)
    fit, valid = ([train[i] for i in rows] for rows in (kept, held))

    def sampled(samples: list[str]) -> dict[str, Any]:
        row: dict[str, Any] = {"copied": copied_fraction(samples, train), "unique": len(set(samples)) / len(samples)}
        if olga is not None and natural_bits is not None:
            bits = olga.bits(samples)
            row |= {"JS": divergence(bits, natural_bits), "Pgen 0": float(np.isinf(bits).mean())}
        return row

    def against_truth(log_p: np.ndarray) -> dict[str, float]:
        possible = np.isfinite(log_p)  # false for sequences longer than all in training
        mean, error = mean_error((truth - log_p / np.log(2))[possible])
        row = {"above": mean, "above error": error, "bits": float(-log_p[possible].mean() / np.log(2))}
        return row if possible.all() else row | {"impossible": float((~possible).mean())}

    if args.check:
        if olga is not None:
            check(olga, test)
        orders = (3, 5)
        show([{"model": f"Markov order {k}", **sampled(markov(train, k, args.samples))} for k in orders])
        return
    table = Rows(args.csv)
    for name, seed, model in make_models(args, alphabet="protein"):
        row = {"model": name, "seed": seed, "bound": model.bound_, **timed_fit(model, fit, validation=valid)}
        score, error = nats(model, valid, draws=args.draws)
        row["valid bits"] = float(-score.mean() / np.log(2))
        row["valid MC"] = bits_error(error, len(error))
        if not args.no_test:
            score, error = nats(model, known.seq.tolist(), draws=args.draws)
            row |= against_truth(score)
            row["MC"] = bits_error(error, len(error))
        if args.samples:
            samples, speed = timed_generate(model, args.samples, steps=args.steps, random_state=seed)
            row |= sampled(samples) | speed
        table.add(row)
    table.show()


if __name__ == "__main__":
    main()
