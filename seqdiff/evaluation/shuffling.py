"""Shuffled sequences with the same dinucleotides: the null model of natural sequences.

A sequence is a walk through its letters, and each pair of neighbouring letters an edge of that walk. Sequences with the
same pairs, from the same first letter, are the Eulerian walks of this directed graph; they also end in the same letter.
Such a walk is fixed by the order in which the edges out of each letter are used, and any order will do in which the
last edges out of all letters but the final one form a tree that leads to the final one (Altschul and Erickson, Mol.
Biol. Evol. 2, 526 (1985)). The tree is drawn uniformly by Wilson's loop-erased random walks (STOC 1996), the other
edges in random order, so all walks are equally likely, and with them all different sequences, as each of them is the
same number of walks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from seqdiff.evaluation.statistics import as_strings

Letter = TypeVar("Letter", bound=Hashable)


def dinucleotide_shuffle(sequences: Sequence[str], random_state: int | np.random.Generator | None = 0) -> list[str]:
    """Return a random sequence for each, uniform over all that have the same count of each pair of letters.

    Single letters keep their counts too, and the first and the last letter their places.

    Parameters
    ----------
    sequences : sequence of str
        Of any letters and any lengths.
    random_state : int, Generator or None, default 0
        Seed of the draws.

    Returns
    -------
    list of str

    Examples
    --------
    >>> dinucleotide_shuffle(["ACGTACCGTTA", "AAAA", "ACAG"], random_state=1)
    ['ACGTTACCGTA', 'AAAA', 'ACAG']
    """
    rng = np.random.default_rng(random_state)
    return ["".join(shuffled_letters(sequence, rng)) for sequence in as_strings(sequences, "sequences")]


def shuffled_letters(letters: Sequence[Letter], rng: np.random.Generator) -> list[Letter]:
    """Return the letters of one sequence in a random order that keeps the count of each pair of neighbours."""
    if len(letters) < 4:  # both ends are fixed, so nothing can move
        return list(letters)
    after: dict[Letter, list[Letter]] = {}  # the ends of the edges out of each letter
    for left, right in zip(letters[:-1], letters[1:], strict=True):
        after.setdefault(left, []).append(right)
    last = _random_tree(after, letters[-1], rng)
    keys = rng.random(len(letters))  # a random order of the edges out of each letter; one draw for all is faster
    used = 0
    for letter, ends in after.items():
        if letter in last:
            ends.remove(last[letter])
        order = keys[used : used + len(ends)].argsort().tolist()
        used += len(ends)
        mixed = [ends[i] for i in order]
        if letter in last:
            mixed.append(last[letter])
        after[letter] = mixed[::-1]  # so that `pop` takes the first
    walk = [letters[0]]
    for _ in range(len(letters) - 1):
        walk.append(after[walk[-1]].pop())
    return walk


def _random_tree(after: dict[Letter, list[Letter]], root: Letter, rng: np.random.Generator) -> dict[Letter, Letter]:
    """Return the next letter towards the root for every other letter: a tree drawn uniformly from all edges."""
    tree: dict[Letter, Letter] = {}
    for start in after:
        here, step = start, {}
        while here != root and here not in tree:
            ends = after[here]
            step[here] = ends[int(rng.random() * len(ends))]  # a later visit overwrites: loops are erased
            here = step[here]
        here = start
        while here != root and here not in tree:
            tree[here] = step[here]
            here = tree[here]
    return tree
