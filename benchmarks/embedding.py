"""EmbeddingDiffusion on text: words or byte pairs as letters, the bound after each epoch, and samples.

The text is tinyshakespeare_27.txt (a-z and spaces), split between words into lines of at most 100 characters: nine
tenths are the training set, a twentieth each the validation and the test set. --lines 300 takes only the first 300
lines. family.py has the results on promoters.

    python benchmarks/embedding.py --alphabet "bpe 256"
    python benchmarks/embedding.py --alphabet "words 1000"
    python benchmarks/embedding.py --lines 300 --alphabet "words 200" --set epochs=40
"""

from __future__ import annotations

import numpy as np
from common import Rows, begin, data_file, held_out, make_models, model_parser, timed_fit, timed_generate

from seqdiff.data import resolve_alphabet
from seqdiff.evaluation import copied_fraction


def lines_of(text: str, longest: int = 100) -> list[str]:
    """Split a text between words into lines of at most `longest` characters."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > longest:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [*lines, line]


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = model_parser(__doc__, ("EmbeddingDiffusion",))
    parser.add_argument("--alphabet", default="bpe 256")
    parser.add_argument("--lines", type=int, help="use only the first lines")
    parser.add_argument("--samples", type=int, default=200)
    args = parser.parse_args()
    begin()
    lines = lines_of(data_file("tinyshakespeare_27.txt").read_text())[: args.lines or args.limit]
    order = np.random.default_rng(0).permutation(len(lines))
    held = max(10, len(lines) // 20)
    valid, test, train = ([lines[i] for i in part] for part in np.split(order, [held, 2 * held]))
    alphabet = resolve_alphabet(args.alphabet, train)
    tokens = alphabet.encode(train)[1].mean()
    print(f"{len(train):,} training lines, {len(alphabet):,} letters, {tokens:.1f} letters per line")
    longest = alphabet.encode(train)[1].max()
    valid, test = ([line for line in part if alphabet.encode([line])[1] <= longest] for part in (valid, test))
    rows = Rows(args.csv)
    for name, seed, model in make_models(args, alphabet=alphabet):
        row = {"model": name, "seed": seed} | timed_fit(model, train, validation=valid)
        characters = sum(map(len, valid)) / len(valid) * np.log(2)
        history, checked = model.history_, model.evaluations_
        for epoch, bound in zip(checked["epoch"], checked["bound"], strict=True):
            i = history["epoch"].index(epoch)
            shares = ", ".join(f"{part} {history[part][i]:.3f}" for part in ("denoising", "rounding", "end"))
            print(
                f"epoch {epoch}: valid {bound / characters:.4f} bits per character; training losses in nats: {shares}"
            )
        bounds = np.array(checked["bound"])
        row |= {
            "finite": bool(np.isfinite(bounds).all()),
            "epochs with an improvement": float((np.diff(bounds) < 0).mean()),
        }
        row["test bits/character"], row["MC"] = held_out(model, test, args.draws)
        if args.samples:
            samples, speed = timed_generate(model, args.samples, random_state=seed)
            words = {word for line in train for word in line.split()}
            generated = [word for sample in samples for word in sample.split()]
            row |= {"words in training": float(np.mean([w in words for w in generated])), **speed}
            row["copied"] = copied_fraction(samples, train)
            print("\n".join(samples[:5]))
        rows.add(row)
    rows.show()


if __name__ == "__main__":
    main()
