"""Discriminators: classifiers that learn to tell samples from reference sequences, judged by cross-validation.

The area under the ROC curve (AUROC) is the chance that a random sample gets a higher score than a random reference
sequence: 0.5 where the discriminator finds no difference, 1 where it tells all apart. Each of five folds is scored by a
discriminator that was trained on the other four, and the AUROC is the mean of those within the folds.

A logistic regression on k-mers is blind to positions, a small convolutional network sees them: neither is the better
one on all data, so both are reported.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, hstack
from torch import Tensor, nn
from torch.nn import functional as F

from seqdiff.evaluation.metrics import Estimate, Weights, kmer_matrix, spread
from seqdiff.runtime import seed_of, seeded_weights

FOLDS = 5
STEPS, BATCH, LETTERS = 100, 64, 6_400
"""Training of a network: steps, and sequences in each, but not many more than these letters."""
POOL, BINS = 4, 10


def make_folds(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold, 0 to 4, of each of n samples and then of n reference sequences, (2 n,), of even sizes."""
    return np.concatenate([rng.permutation(n) % FOLDS for _ in range(2)])


def auroc(scores: np.ndarray, folds: np.ndarray, weights: Weights) -> Estimate:
    """Return the mean over folds of the area under the ROC curve of n samples and n reference sequences.

    Parameters
    ----------
    scores, folds : ndarray, shape (2 n,)
        Of the samples, then of the reference.
    weights : two arrays (R, n)
        Bootstrap samples of the samples and of the reference.

    Notes
    -----
    The standard deviation over bootstrap samples is that for the discriminators as they are. Others would have been
    trained on other sequences, and the five share most of theirs: by Nadeau and Bengio (Mach. Learn. 52, 239 (2003))
    the variance is (1/5 + 1/4) / (1/5) times as large. On equal sets the interval then holds 0.5 in about 95 of 100
    cases, without this factor in 75.

    Examples
    --------
    >>> ones = np.ones((2, 2))
    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.zeros(4, int), (ones, ones)).value
    0.875
    """
    n = len(scores) // 2
    ours, theirs = (np.concatenate([np.ones((1, n)), w]) for w in weights)  # (1 + R, n), the first counts each once
    sums, counted = np.zeros(len(ours)), np.zeros(len(ours))
    for fold in np.unique(folds):
        a, b = np.flatnonzero(folds[:n] == fold), np.flatnonzero(folds[n:] == fold)
        order = np.argsort(scores[n + b], kind="stable")
        below = np.concatenate([np.zeros((len(theirs), 1)), theirs[:, b[order]].cumsum(1)], 1)
        sorted_scores = scores[n + b][order]
        left, right = (np.searchsorted(sorted_scores, scores[a], side) for side in ("left", "right"))
        won = (ours[:, a] * (below[:, left] + below[:, right]) / 2).sum(1)
        pairs = ours[:, a].sum(1) * below[:, -1]
        there = pairs > 0  # in tiny folds a bootstrap sample may have none
        sums[there] += won[there] / pairs[there]
        counted += there
    values = sums / np.maximum(counted, 1)
    inflation = np.sqrt(1 + FOLDS / (FOLDS - 1))
    return spread(float(values[0]), values[0] + inflation * (values[1:] - values[0]), 0.0, 1.0)


def kmer_scores(strings: list[str], folds: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Return the scores (2 n,) of a logistic regression on k-mers of 1 to k letters, of n samples and n others.

    Its input are square roots of counts, which have the same noise whatever the count; the penalty (C = 0.01) is strong
    as there are more k-mers than sequences.
    """
    from sklearn.linear_model import LogisticRegression

    counts = csr_array(hstack([kmer_matrix(strings, length) for length in range(1, k + 1)], format="csr")).sqrt()
    labels = np.arange(len(strings)) < len(strings) // 2
    scores = np.empty(len(strings))
    for fold in range(FOLDS):
        held = folds == fold
        model = LogisticRegression(C=0.01, solver="liblinear", random_state=seed % 2**32)
        scores[held] = model.fit(counts[~held], labels[~held]).decision_function(counts[held])
    return scores


class SmallConvolution(nn.Module):
    """Two convolutions and a linear layer on the largest outputs in ten parts of the sequence and in all of it.

    Convolutions are two-dimensional, of height 1 and channels-last: three times as fast on a CPU as `nn.Conv1d`.
    """

    def __init__(self, letters: int, length: int, width: int = 32) -> None:
        super().__init__()
        self.letters = letters
        last = torch.channels_last
        self.first = nn.Conv2d(letters, width, (1, 9), padding=(0, 4)).to(memory_format=last)  # type: ignore[call-overload]
        self.second = nn.Conv2d(width, width, (1, 5), padding=(0, 2)).to(memory_format=last)  # type: ignore[call-overload]
        pooled = length // POOL
        self.part = -(-pooled // BINS)
        self.out = nn.Linear(width * (-(-pooled // self.part) + 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (B,) of tokens (B, L), in which `letters` stands where a sequence has ended."""
        one_hot = F.one_hot(x, self.letters + 1)[..., : self.letters].float()  # (B, L, K)
        h = one_hot.transpose(1, 2).unsqueeze(2)  # (B, K, 1, L), channels-last as it is
        h = F.relu(self.second(F.relu(F.max_pool2d(self.first(h), (1, POOL)))))
        h = F.max_pool2d(h, (1, self.part), ceil_mode=True)
        return self.out(torch.cat([h.flatten(1), h.amax((2, 3))], 1)).squeeze(1)


def convolution_scores(tokens: np.ndarray, letters: int, folds: np.ndarray, seed: int) -> np.ndarray:
    """Return the scores (2 n,) of small convolutional networks, of n samples and n others.

    Parameters
    ----------
    tokens : ndarray, shape (2 n, L)
        `letters` where a sequence has ended.
    letters : int
    folds : ndarray, shape (2 n,)
    seed : int
        Of weights and batches. A network is trained for 100 steps of 64 sequences, fewer of more than 100 letters.
    """
    shortest = max(0, 2 * POOL - tokens.shape[1])
    tokens = np.pad(tokens.astype(np.int64), ((0, 0), (0, shortest)), constant_values=letters)
    x = torch.from_numpy(tokens)
    labels = (torch.arange(len(x)) < len(x) // 2).float()
    batch = max(16, min(BATCH, LETTERS // x.shape[1]))
    scores = np.empty(len(x))
    for fold in range(FOLDS):
        with seeded_weights(seed_of(seed, fold)):
            network = SmallConvolution(letters, x.shape[1])
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS)
        rng = np.random.default_rng([seed, fold])
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        epochs = -(-STEPS * batch // len(train))
        order = torch.from_numpy(np.concatenate([rng.permutation(train) for _ in range(epochs)]))
        for rows in order[: STEPS * batch].split(batch):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(network(x[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            scores[held] = torch.cat([network(part) for part in x[held].split(256)]).numpy()
    return scores
