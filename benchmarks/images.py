"""Ordered letters in two dimensions: bits per dimension of images, and grids of samples.

Handwritten digits of scikit-learn, 1,797 images of 8 x 8 with 17 levels, or enlarged by bilinear interpolation to
16 x 16 with 64 levels; a fifth is the test set, a tenth the validation set. Or CIFAR-10, with 256 levels or fewer: the
"binary version", data_batch_1.bin to data_batch_5.bin and test_batch.bin, in a folder of yours; no pickle is read. All
models have the same network and see as many batches; their settings were chosen on the validation set.

    python benchmarks/images.py --seeds 3 --plots plots                 # 1 to 2 CPU-minutes a model and seed
    python benchmarks/images.py --data digits16 --seeds 3
    python benchmarks/images.py --data cifar-10-batches-bin --levels 64 --set width=128   # a GPU
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Rows, add_no_test, begin, cpu_seconds, model_parser, timed_fit, timed_generate
from torch.nn import functional as F

import seqdiff
from seqdiff.data.split import random_split
from seqdiff.evaluation import MarkovChain, PositionWeightMatrix, bits_per_letter, plot_images

NETWORK = {"network": "unet", "width": 32, "depth": 1, "epochs": 30, "batch_size": 64, "lr": 3e-3, "eval_every": 10}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "masked": ("MaskedDiffusion", {}),
    "uniform": ("UniformDiffusion", {}),
    "classical-gaussian": ("ClassicalDiffusion", {"forward": "gaussian", "schedule": "mutual_information"}),
    "scud-gaussian-logistic": ("SCUD", {"forward": "gaussian", "logistic": True}),
    "scud-gaussian": ("SCUD", {"forward": "gaussian"}),
    "scud-uniform": ("SCUD", {"forward": "uniform"}),
    "autoregressive": ("Autoregressive", {"network": "conv", "network_options": {"dilations": [1, 2, 4, 8]}}),
}
RECORD = 1 + 3 * 32 * 32  # bytes: the label, then red, green and blue, row by row


def digits(levels: int | None, side: int) -> np.ndarray:
    """Return the digits (1797, side, side), at sides above 8 enlarged, with 17 levels or others."""
    from sklearn.datasets import load_digits

    images = load_digits().images  # 0 to 16
    if side > 8:
        small = torch.from_numpy(images)[:, None]
        images = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)[:, 0].numpy()
    return np.round(images / 16 * (levels - 1 if levels else 16)).astype(np.uint8)


def cifar(folder: Path, levels: int) -> dict[str, np.ndarray]:
    """Return the images of .bin files, (n, 32, 32, 3): five batches to train on, of which some validate, and a test."""

    def read(name: str) -> np.ndarray:
        path = folder / name
        if not path.is_file():
            raise SystemExit(f"{path} is missing; give a folder with the binary version of CIFAR-10")
        records = np.fromfile(path, dtype=np.uint8).reshape(-1, RECORD)
        return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    every = np.concatenate([read(f"data_batch_{i}.bin") for i in range(1, 6)])
    parts = {"train": every[:-2000], "valid": every[-2000:], "test": read("test_batch.bin")}
    return {part: (images.astype(np.int64) * levels // 256).astype(np.uint8) for part, images in parts.items()}


def load(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return the images of each part."""
    if args.data not in ("digits", "digits16"):
        parts = cifar(Path(args.data), args.levels or 256)
    else:
        images = digits(args.levels, 8) if args.data == "digits" else digits(args.levels or 64, 16)
        rest, test = random_split(len(images), 0.2, random_state=0)
        train, valid = random_split(len(rest), 0.125, random_state=0)
        parts = {"train": images[rest[train]], "valid": images[rest[valid]], "test": images[test]}
    return parts if args.limit is None else {part: images[: args.limit] for part, images in parts.items()}


def held_out(model: Any, images: np.ndarray, draws: int) -> tuple[float, float]:
    """Return bits per dimension and their Monte Carlo error."""
    draws = 1 if model.bound_ == "exact" else draws
    found = [model.score_samples(images, random_state=i, return_error=True) for i in range(draws)]
    error = np.sqrt(np.mean([error**2 for _, error in found], axis=0) / draws)
    bits = bits_per_letter(np.mean([score for score, _ in found], axis=0), images)
    return bits, float(np.sqrt((error**2).sum()) / images.size / np.log(2))


def baselines(parts: dict[str, np.ndarray], alphabet: seqdiff.Levels, test: bool) -> list[dict[str, Any]]:
    """Return the rows of models without a network: levels of each pixel, or after the two before in its row."""
    rows = []
    for name, model in (("each pixel alone", PositionWeightMatrix(alphabet=alphabet)),
                        ("Markov order 1", MarkovChain(order=1, alphabet=alphabet))):  # fmt: skip
        model.fit(parts["train"])
        row = {"model": name}
        for part in ("valid", "test") if test else ("valid",):
            row[part] = bits_per_letter(model.score_samples(parts[part]), parts[part])
        rows.append(row)
    return rows


def main() -> None:
    """Run the benchmark and print its table."""
    parser = model_parser(__doc__)
    parser.set_defaults(models="masked,uniform,classical-gaussian,scud-gaussian-logistic")
    parser.add_argument("--data", default="digits", help="digits, digits16, or a folder of CIFAR-10's .bin files")
    parser.add_argument("--levels", type=int, help="levels: 17 of digits, 64 of digits16, 256 of CIFAR-10")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--plots", metavar="FOLDER", help="write a grid of samples of each model's first seed")
    add_no_test(parser)
    args = parser.parse_args()
    begin()
    parts = load(args)
    levels = seqdiff.Levels(int(max(images.max() for images in parts.values())) + 1)
    print({part: images.shape for part, images in parts.items()}, len(levels), "levels", flush=True)
    table = Rows(args.csv)
    for row in baselines(parts, levels, not args.no_test):
        table.add(row)
    if args.plots:
        save_plot(parts["test"], args, "data")
    for name in filter(None, args.models.split(",")):
        train(name, parts, levels, args, table)
    table.show()


def train(
    name: str, parts: dict[str, np.ndarray], levels: seqdiff.Levels, args: argparse.Namespace, table: Rows
) -> None:
    """Train a model from each seed and add its rows."""
    import ast

    kind, own = MODELS[name]
    given = dict(item.split("=", 1) for item in args.set)
    settings = NETWORK | own | {key: ast.literal_eval(value) for key, value in given.items()}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        model = getattr(seqdiff, kind)(
            alphabet=levels, random_state=seed, savepath=None, verbose=args.verbose, **settings
        )
        row = {"model": name, "seed": seed, **timed_fit(model, parts["train"], validation=parts["valid"])}
        start = cpu_seconds()
        row["valid"], row["MC error"] = held_out(model, parts["valid"], args.draws)
        if not args.no_test:
            row["test"], row["MC error"] = held_out(model, parts["test"], args.draws)
        row["score CPU-s"] = cpu_seconds() - start
        if args.samples and seed == args.first_seed:
            samples, speed = timed_generate(model, args.samples, steps=args.steps, random_state=0)
            row["images per CPU-s"] = speed["per CPU-s"]
            if args.plots:
                save_plot(np.asarray(samples), args, name)
        table.add(row)


def save_plot(images: np.ndarray, args: argparse.Namespace, name: str) -> None:
    """Write a grid of images."""
    folder = Path(args.plots)
    folder.mkdir(parents=True, exist_ok=True)
    axes = plot_images(images[: args.samples], columns=10, title=name)
    axes.figure.savefig(folder / f"{Path(args.data).name}_{name}.png")


if __name__ == "__main__":
    main()
