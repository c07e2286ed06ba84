"""`evaluate` on natural, shuffled, copied and designed sequences; its metrics beside those of seqme.

python benchmarks/evaluate.py promoters     # natural against natural, shuffled, copied E. coli promoters
python benchmarks/evaluate.py designs       # native, random and optimised sequences of polygraph
python benchmarks/evaluate.py cost          # 10,000 sequences of 200 letters

pip install --no-deps --target seqme seqme==0.5.1 moocore polyleven numba llvmlite umap-learn pynndescent platformdirs
PYTHONPATH=seqme:. python benchmarks/evaluate.py seqme      # 0.5.1: the same figures, of the same sequences
"""

from __future__ import annotations

import resource

import numpy as np
import pandas as pd
from common import begin, cpu_seconds, data_file, load_promoters, plain_parser, show

from seqdiff.evaluation import (
    MarkovChain,
    copied_fraction,
    dinucleotide_shuffle,
    diversity,
    evaluate,
    frechet_distance,
    precision_recall,
)
from seqdiff.evaluation.metrics import KmerEmbedding
from seqdiff.evaluation.results import Evaluation

AUROC = ["auroc_kmer", "auroc_conv"]


def report(result: Evaluation) -> None:
    """Print an evaluation, and the intervals of the AUROC and of the k-mer divergence."""
    print(result)
    names = [name for name in ("kmer_js", *AUROC) if name in result.table]
    print("\nfrom the nearest to the farthest, with 95% intervals")
    rows = []
    for group in result.ranking().index:
        row = {"group": group}
        for name in names:
            low, high = result.intervals.loc[group, name]
            row[name] = f"{result.table.loc[group, name]:.4f} ({low:.4f} to {high:.4f})"
        rows.append(row)
    show(rows)


def promoters() -> None:
    """Natural promoters against natural ones, shuffled in two ways, and copies of the training split."""
    parts = load_promoters()
    rng = np.random.default_rng(0)
    every = [*parts["valid"], *parts["test"]]
    single = ["".join(rng.permutation(list(s))) for s in every[:1000]]
    copies = [parts["train"][i] for i in rng.choice(len(parts["train"]), 1000, replace=False)]
    few = copies[:50] + MarkovChain(5).fit(parts["train"]).generate(950, random_state=0)
    groups = {"single letters shuffled": single, "copies of train": copies, "5% copies, Markov 5": few}
    report(evaluate(groups, every, train=parts["train"]))


def designs() -> None:
    """Groups of polygraph, half of native being the reference."""
    table = pd.read_csv(data_file("polygraph_human200.txt"), header=None, names=["seq", "group"])
    groups = {str(name): rows.seq.tolist() for name, rows in table.groupby("group")}
    native = [groups["native"][i] for i in np.random.default_rng(0).permutation(len(groups["native"]))]
    half = len(native) // 2
    report(evaluate({**groups, "native": native[:half]}, native[half:]))
    print("\nall of native as the reference")
    report(evaluate({name: some for name, some in groups.items() if name != "native"}, native))


def cost() -> None:
    """CPU-seconds and memory of 10,000 sequences of 200 letters of a Markov chain fitted to native ones."""
    table = pd.read_csv(data_file("polygraph_human200.txt"), header=None, names=["seq", "group"])
    chain = MarkovChain(3).fit(table.seq[table.group == "native"].tolist())
    sets = [chain.generate(n, random_state=i) for i, n in enumerate((10_000, 10_000, 20_000))]
    rows = []
    for n, reference in ((5_000, sets[2][:10_000]), (10_000, sets[2])):
        start = cpu_seconds()
        result = evaluate(sets[0], reference, train=sets[1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        assert result.facts["n"] == n
        rows.append({"sequences": 10_000, "n": n, "CPU-s": cpu_seconds() - start, "peak GiB": peak})
    show(rows)


def seqme() -> None:
    """Metrics of the first 1,000 dinucleotide-shuffled test promoters against 1,000 of the training split."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist
    from seqme.metrics import FBD, Diversity, Novelty, Precision, Recall, Uniqueness
    from seqme.models.kmers import KmerFrequencyEmbedding

    parts = load_promoters()
    reference = parts["train"][:1000]
    samples = dinucleotide_shuffle(parts["test"][:900]) + reference[:80] + reference[:20]
    embedding = KmerEmbedding(reference, 3)
    theirs = KmerFrequencyEmbedding(embedding.kmers)
    sets = (samples, reference)
    ours = [embedding(some) for some in sets]
    print(f"largest difference of embeddings: {np.abs(ours[0] - theirs(samples)).max():.1e}")
    # equal distances are frequent among k-mer frequencies; turned to other coordinates of other lengths, they are not
    turn = np.random.default_rng(0).standard_normal((64, 64))
    near, exact = (
        precision_recall(*ours),
        precision_recall(*(np.rint(48 * x) for x in ours)),
    )  # 48 windows of 50 letters
    free = precision_recall(*(x @ turn for x in ours))
    print(f"precision, recall of whole numbers of k-mers, without rounding: {exact['precision']}, {exact['recall']}")
    distances = cdist(samples, samples, scorer=Levenshtein.normalized_distance, dtype=np.float64)

    def turned(some: list[str]) -> np.ndarray:
        return embedding(some) @ turn

    pairs = {
        "uniqueness": (len(set(samples)) / len(samples), Uniqueness()),
        "novelty": (1 - copied_fraction(samples, reference), Novelty(reference)),
        "diversity, 10,000 pairs": (diversity(samples), Diversity()),
        "diversity, all pairs": (distances.sum() / (len(samples) * (len(samples) - 1)), Diversity()),
        "frechet": (frechet_distance(*ours), FBD(reference, theirs)),
        "precision": (near["precision"], Precision(5, reference, theirs)),
        "recall": (near["recall"], Recall(5, reference, theirs)),
        "precision, turned": (free["precision"], Precision(5, reference, turned)),
        "recall, turned": (free["recall"], Recall(5, reference, turned)),
    }
    rows = []
    for name, (value, metric) in pairs.items():
        other = float(metric(samples).value)
        rows.append(
            {"metric": name, "seqdiff": f"{value:.9f}", "seqme": f"{other:.9f}", "difference": f"{value - other:.1e}"}
        )
    show(rows)


def main() -> None:
    """Run the parts that are named."""
    parts = {"promoters": promoters, "designs": designs, "cost": cost, "seqme": seqme}
    parser = plain_parser(__doc__)
    parser.add_argument("parts", nargs="*", default=["promoters", "designs", "cost"], help=", ".join(parts))
    args = parser.parse_args()
    if unknown := set(args.parts) - set(parts):
        parser.error(f"parts: got {sorted(unknown)}, expected some of {', '.join(parts)}")
    begin()
    for name in args.parts:
        print(f"\n{name}", flush=True)
        parts[name]()


if __name__ == "__main__":
    main()
