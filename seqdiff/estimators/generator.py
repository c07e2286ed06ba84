"""`SequenceGenerator`: a generator that is fitted to sequences, from what a user gives to training."""

from __future__ import annotations

import numbers
import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seqdiff import ranks, runtime
from seqdiff.alphabets.alphabets import is_learned
from seqdiff.data import (
    Alphabet,
    Dataset,
    Store,
    StoredData,
    class_codes,
    hold_out,
    hold_out_stored,
    is_store,
    learn_target,
    resolve_alphabet,
)
from seqdiff.data import prepare as prepare_data
from seqdiff.data.checking import examine
from seqdiff.data.split import MOST_SEARCHED, given_part, share_of
from seqdiff.errors import InputError, argument, warn
from seqdiff.estimators.base import GeneratorBase
from seqdiff.estimators.parameters import Weights
from seqdiff.inputs import HeldOutLike, LabelsLike, SequencesLike, WeightsLike
from seqdiff.model import SequenceModel, Vocabulary
from seqdiff.parameters import Switch, check_parameters
from seqdiff.training import Batch, Objective, StoredBatch

SAMPLED = 20_000
"""Sequences of a store whose letters are counted, and in which a fit looks for what it suffers from."""


def as_store(X: object) -> Store | None:
    """Return the store that this is or is the path of, else None."""
    if isinstance(X, (str, os.PathLike)) and is_store(path := os.path.expanduser(os.fsdecode(X))):
        return Store(path)
    return X if isinstance(X, Store) else None


def _batch(
    vocabulary: Vocabulary, data: Dataset | StoredData, device: torch.device, weight: np.ndarray | None
) -> Batch | StoredBatch:
    if isinstance(data, Dataset):
        return vocabulary.batch(data, device, weight)
    return vocabulary.stored_batch(data, device, weight)


class SequenceGenerator(GeneratorBase):
    """Base of the generators that are fitted to sequences.

    A subclass has `process_class`, `make_process`, and its parameters as fields (`Parameterised` says how); its
    signature and the "Parameters" of its docstring follow.
    """

    def fit(
        self,
        X: SequencesLike,
        y: LabelsLike = None,
        *,
        validation: HeldOutLike = 0.1,
        sample_weight: WeightsLike = None,
        resume: bool = False,
    ) -> SequenceGenerator:
        """Fit the generator to sequences.

        Parameters
        ----------
        X : path, list, array, Series, DataFrame, Biopython records, or images
            A path may be ``.txt`` (one sequence a line), FASTA, CSV, TSV or Parquet, compressed by gzip or not, or a
            store that `seqdiff.data.prepare_store` or ``seqdiff prepare`` made of data that do not fit into memory;
            its labels are named by y. Images
            are an array (n, H, W) or (n, H, W, C) of whole numbers, or a ``.npy`` file of one: the levels of an
            alphabet that has an order, 0 to the largest that occurs, or as many as ``alphabet=Levels(64)`` says.
        y : array, str, list of str, DataFrame, dict or None
            What to condition on: strings and ints are classes, floats are values, (n, L, C) is a signal; a string is
            the name of a column of X. Several columns (a list of names, a DataFrame, a dict, or rows that hold
            strings) are each what they would be alone. Missing labels (None, nan) are allowed, in each column for
            itself; an (n, c) array of numbers is one value, known as a whole or not at all.
            The same table means the same as a path, a DataFrame or lists (`seqdiff.data.labels` has the rules); a
            message says how it was read, and `target` overrides it.
        validation : float, sequences, (X, y) or None
            A share of the sequences to hold out, at random but for two rules: copies of a sequence (dna, rna: of
            either strand) stay on one side, and the training set has every class. Or held-out sequences. The weights
            with the best bound of these are kept; with None or 0 the last ones.
        sample_weight : array or "balanced", optional
            (n,) how much each sequence counts: in the loss, in frequencies, means and lengths; 0 as if it had not been
            given. "balanced": each class as much as any other.
        resume : bool
            Resume an interrupted run, or a finished one with more `epochs`; the learning rate then is that of a run of
            this number of epochs.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is not allowed; the sentence says what, where and the cure.
        KeyboardInterrupt
            After Ctrl-C, with a checkpoint written; what was learned so far can be used.
        """
        check_parameters(self)
        Switch().check("resume", resume)
        drawn = not isinstance(self.random_state, numbers.Integral)  # a seed that was given is compared with the run's
        if not (resume and drawn and hasattr(self, "fit_seed_")):
            self._draw_seed()
        device = runtime.choose_device(self.device)
        runtime.autocast(device, self.precision)
        weights_of = Weights(sample_weight)
        store = as_store(X)
        data = self._data(X, y, weights_of) if store is None else self._stored(store, y, weights_of)
        if self.strands == "both" and data.alphabet.complement is None:
            wanted = f"dna or rna for {argument('strands', 'both')}, as other letters have no complements"
            raise InputError(argument("alphabet"), data.alphabet.name, wanted, f"leave {argument('strands')} out")
        train, valid, weights = self._split(data, weights_of.of(data, self.target), validation)
        vocabulary = Vocabulary.fit(train, valid, weights, self.target, self._seed())
        if self.strands == "both":
            train, valid = train.both_strands(), None if valid is None else valid.both_strands()
            first, second = (None if weight is None else np.tile(weight, 2) for weight in weights)
            weights = (first, second)
        model = self._model(self._built(vocabulary, train, weights[0]), vocabulary)
        if self.verbose:
            self._warn(data, valid, validation, model, weighted=sample_weight is not None)
        del data  # of a large store these are numbers of many rows
        batch = _batch(vocabulary, train, device, weights[0])
        held = None if valid is None else _batch(vocabulary, valid, device, weights[1])
        digests = ["" if part is None else part.digest() for part in (train, valid)]
        digests += ["" if weight is None else weight.tobytes().hex() for weight in weights]
        self._optimise(model, batch, held, digests, train.source, train.notes, resume)
        return self

    def _data(
        self, X: SequencesLike | Store, y: LabelsLike, weights: Weights, alphabet: Alphabet | None = None
    ) -> Dataset:
        return prepare_data(
            X, y, alphabet=self.alphabet if alphabet is None else alphabet, chosen=weights.chosen, target=self.target,
            verbose=self.verbose, length=self.length, **self.reading,
        )  # fmt: skip

    def _stored(self, store: Store, y: LabelsLike, weights: Weights) -> Dataset | StoredData:
        """Return the data of a store: in memory if they are few, so that all is as with the file it was made of."""
        ranks.current().first_does(lambda: store.check(self.verbose))
        alphabet = store.alphabet
        if not is_learned(self.alphabet) and (given := resolve_alphabet(self.alphabet)) != alphabet:
            wanted = f"{alphabet.name}, as the store {store.path} has, or 'auto'"
            raise InputError(argument("alphabet"), given.name, wanted, f"leave {argument('alphabet')} out")
        if store.letters <= MOST_SEARCHED:
            return self._data(store, y, weights, alphabet)
        data = StoredData.of(store, y, self.target)
        if (rows := weights.chosen(len(data))) is not None and not rows.all():
            data = data.take(rows)
        if self.length is not None and len(wrong := np.flatnonzero(data.lengths != self.length)):
            found = f"{len(wrong):,} sequences of another length"
            cure = f"leave {argument('length')} out to learn sequences of several lengths"
            raise InputError(str(store.path), found, f"{argument('length', int(self.length))}, as it was given", cure)
        return data

    def _built(self, vocabulary: Vocabulary, train: Dataset | StoredData, weight: np.ndarray | None) -> Objective:
        """Return process and network as `build` does, from some of the rows where they lie on a disk."""
        if isinstance(train, Dataset):
            return self.build(vocabulary, train, weight)
        some, rows = train.sample(SAMPLED)
        weight = None if weight is None else weight[rows]
        if train.forwards is not None:
            some, weight = some.both_strands(), None if weight is None else np.tile(weight, 2)
        return self.build(vocabulary, some, weight)

    def _warn(
        self,
        data: Dataset | StoredData,
        valid: Dataset | StoredData | None,
        validation: HeldOutLike,
        model: SequenceModel,
        weighted: bool,
    ) -> None:
        """Warn of what `check_data` finds in the data and needs action."""
        drawn = valid is not None and isinstance(validation, numbers.Real)
        some, train = (data, None) if isinstance(data, Dataset) else (data.sample(SAMPLED)[0], len(data))
        held = np.isin(some.kept, valid.kept) if valid is not None and drawn else None
        validated = 0 if valid is None else len(np.unique(valid.kept))  # of both strands once
        size = sum(p.numel() for p in model.objective.parameters())
        for finding in examine(some, held, size, self.target, validated=validated, train=train, weighted=weighted):
            if finding.action:
                warn(finding.sentence)

    def _split(
        self, data: Dataset | StoredData, weight: np.ndarray | None, validation: HeldOutLike
    ) -> tuple[Dataset | StoredData, Dataset | StoredData | None, tuple[np.ndarray | None, np.ndarray | None]]:
        """Return training data, with notes on the split, validation data and the weights of both."""
        if validation is None or validation is False:
            return data, None, (weight, None)
        share = share_of("validation", validation, ", sequences or None")
        if share is not None:
            if len(data) < 2 or share == 0:
                return data, None, (weight, None)
            classes = [] if data.y is None else class_codes(learn_target(data.y, self.target), data.y)
            divide: Any = hold_out if isinstance(data, Dataset) else hold_out_stored
            kept, held, notes = divide(data, share, self._seed(), classes)
            both = (None, None) if weight is None else (weight[kept], weight[held])
            train = replace(data.take(kept), notes=(*data.notes, *notes))
            return train, data.take(held) if len(held) else None, both
        held_data = given_part(
            validation, data, self.target, alphabet=data.alphabet, length=self.length, **self.reading
        )
        if held_data.y is not None and data.y is None:
            found = f"labels, but {argument('y')} was not given"
            raise InputError(argument("validation"), found, "labels of both or of neither", "give both or neither")
        return data, held_data, (weight, None)
