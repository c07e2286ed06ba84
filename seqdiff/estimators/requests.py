"""From the arguments of `generate`, `infill` and `mutate` to a `SampleRequest`, everything checked before any work."""

from __future__ import annotations

import numbers
import os
import re
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seqdiff import ranks, runtime
from seqdiff.alphabets.vocabularies import OverlappingKmers, PieceAlphabet, WordAlphabet
from seqdiff.data import (
    Alphabet,
    AlphabetError,
    Forbidden,
    LengthDistribution,
    Records,
    Target,
    parse_positions,
    parse_template,
    read_records,
)
from seqdiff.data.images import refuse_images
from seqdiff.data.target import EMPIRICAL
from seqdiff.errors import InputError, argument, printable, shorten, shown, warn
from seqdiff.guidance import Avoid, Chain, Guidance, LookAhead
from seqdiff.guidance.base import GuidanceLike
from seqdiff.inputs import (
    LabelsLike,
    LengthsLike,
    MotifsLike,
    PositionsLike,
    SeedLike,
    SequencesLike,
    TemplateLike,
)
from seqdiff.model import SampleRequest, SequenceModel
from seqdiff.parameters import Real, Seed, Whole

TRIES = 20
"""Times that a sample with a forbidden motif is generated again."""
PARTICLES, PREFIXES = 16, 64
"""Particles of `LookAhead` where it is not given: in `infill` and `mutate`; more where letters are written from left to
right, which is cheaper and looks forward less far, then also for lengths that the end token has to come to."""
REDRAWS = 100
"""Times that positions to mutate are drawn again while the letters that stay hold a forbidden motif."""
MOST_SAMPLES, MOST_STEPS = 10_000_000, 100_000
UNLABELLED = "this model was fitted without labels"


def check_seed(random_state: SeedLike) -> int:
    """Return a `random_state` as a seed: a whole number itself, entropy for None, a draw of NumPy's generators."""
    drawn: int | None = None
    if random_state is None:
        drawn = secrets.randbits(32)  # short enough to write down
    elif isinstance(random_state, np.random.RandomState):
        drawn = int(random_state.randint(2**31))
    elif isinstance(random_state, np.random.Generator):
        drawn = int(random_state.integers(2**31))
    if drawn is not None:
        return int(ranks.current().from_first(drawn))
    Seed().check("random_state", random_state)
    return int(random_state)  # type: ignore[arg-type]


class SampleOptions(TypedDict, total=False):
    """Arguments of `generate` that say what to sample; it documents them."""

    y: LabelsLike
    template: TemplateLike
    guidance: GuidanceLike
    forbid: MotifsLike
    steps: int | None
    temperature: float
    length: LengthsLike


@dataclass
class Arguments:
    """Arguments that `generate`, `infill`, `mutate` and `trajectory` share, checked where that needs no data.

    Parameters
    ----------
    model : SequenceModel
    seed : int
    out : Path, optional
        The file to write.
    y, template, guidance, forbid, steps, temperature, length
        As of `generate`.
    """

    model: SequenceModel
    seed: int
    out: Path | None = None
    y: LabelsLike = None
    template: TemplateLike = None
    guidance: GuidanceLike = None
    forbid: InitVar[MotifsLike] = None
    steps: int | None = None
    temperature: float = 1.0
    length: LengthsLike = None

    def __post_init__(self, forbid: MotifsLike) -> None:
        if forbid is not None:
            refuse_images(self.model.alphabet, argument("forbid"))
        self.motifs = None if forbid is None else Forbidden(forbid, self.model.alphabet)
        Whole(1, MOST_STEPS).check("steps", self.steps, optional=True)
        Real(1e-6, 1e6).check("temperature", self.temperature)

    def samples(self, n: int) -> SampleRequest:
        """Return the request for n samples."""
        check_count(n)
        model, target, length = self.model, self.model.target, self.length
        y = self.labels(n)
        allowed = None
        if self.template is not None:
            template = model.alphabet.template(self.template)
            allowed = parse_template(template, model.alphabet, model.lengths, length)  # type: ignore[arg-type]
            length = len(allowed)
            if self.motifs is not None and (motif := self.motifs.unavoidable(allowed)) is not None:
                wanted = f"one without what {argument('forbid')} rules out"
                raise InputError(argument("template"), f"one that holds {motif}", wanted, "change one of them")
        free = length is None and model.process.models_length
        if free:
            lengths = np.zeros(n, dtype=np.int64)  # no position is known to be real: it says where sequences end
        else:
            known = None if y is None or target is None or target.kind == "signal" else target.encode(y, n=n)
            lengths = drawn_lengths(length, n, model.lengths, self.seed, known)
        width = model.lengths.max_length if free else int(lengths.max())
        return self.request(torch.as_tensor(lengths), width, allowed, y)

    def variants(self, originals: Originals, allowed: np.ndarray, each: int) -> SampleRequest:
        """Return the request for `each` variants of all sequences that have these letters (N each, L, K)."""
        lengths = torch.from_numpy(np.repeat(originals.lengths, each))
        y = self.labels(len(originals))
        return self.request(lengths, allowed.shape[1], allowed, y, each, PARTICLES)

    def request(
        self, lengths: Tensor, width: int, allowed: np.ndarray | None, y: LabelsLike, each: int = 1, particles: int = 1
    ) -> SampleRequest:
        """Return the request for sequences of lengths (n,) with allowed letters (L, K), (n, L, K) or None.

        Of n samples, `each` stand next to one another that share a y. A template takes `particles` where the
        guides do not say.
        """
        model, process, n, letters = self.model, self.model.process, len(lengths), width
        guides, device = as_guides(self.guidance), self.model.device
        lengths, ends = lengths.to(device), None
        may = None if allowed is None else torch.from_numpy(allowed).to(device)
        if process.models_length and process.ends and bool((lengths > 0).any()):
            # The process draws where sequences end, under a template that lets it be nowhere else.
            if may is None:
                may = torch.ones(letters, process.letters, dtype=torch.bool, device=device)
            ends, particles, lengths = lengths, PREFIXES, torch.zeros_like(lengths)
            width = min(letters + 1, model.lengths.max_length)
        if may is not None:
            ahead = [guide for guide in guides if isinstance(guide, LookAhead)]
            if len(ahead) > 1:
                cure = "give one of them"
                raise InputError(argument("guidance"), f"{len(ahead)} LookAhead", "one, as the template is one", cure)
            guides = [guide for guide in guides if guide not in ahead]
            alone = not any(guide.copies > 1 for guide in guides)
            particles = PREFIXES if particles > 1 and process.models_length else particles
            looking = ahead[0] if ahead else LookAhead(particles if alone else 1)
            guides.append(looking.template(process, may, ends, model.lengths.max_length if ends is not None else 0))
        if self.motifs is not None:
            if may is not None:  # the end token's place may hold anything
                may = F.pad(may, (0, 0, 0, width - letters), value=True)
            guides.append(Avoid(self.motifs.patterns, may))
        cond, labels = self._condition(y, n, letters, width, each)
        guide = Chain(guides).bind(model, n, cond)
        return SampleRequest(lengths, width, cond, guide, self.steps, self.temperature, labels)

    def _condition(self, y: LabelsLike, n: int, letters: int, width: int, each: int) -> tuple[Any, np.ndarray | None]:
        """Return the condition of n samples, of which `each` share a y, and the labels to tell of them."""
        model, target = self.model, self.model.target
        if y is None or target is None:
            return None, None
        warn_far(y, target)
        if target.kind == "signal":
            check_signal(y, letters, model.lengths.max_length)
        cond = model.vocabulary.condition(y, n // each, letters, model.device) or {}
        cond = {name: rows.repeat_interleave(each, 0) for name, rows in cond.items()}
        if "signal" in cond:  # the end token has a place of its own
            cond["signal"] = F.pad(cond["signal"], (0, 0, 0, width - letters))
        labels = None if target.kind == "signal" else target.rows(y, n // each)
        return cond, None if labels is None else labels.repeat(each, 0)

    def labels(self, n: int) -> Any:
        """Return the labels asked for; those of n samples where they are drawn."""
        if self.y is not None and self.model.target is None:
            raise InputError(argument("y"), shown(self.y), f"None, as {UNLABELLED}", "leave it out, or fit(X, y) first")
        check_known(self.model, self.y)
        return None if self.y is None else drawn_labels(self.y, self.model.target, n, self.seed)


def check_count(n: int) -> None:
    """Raise an `InputError` unless n is a number of samples that one call can make."""
    Whole(1).check("n", n)
    if n > MOST_SAMPLES:
        wanted = f"at most {MOST_SAMPLES:,} in one call, whose samples lie in memory"
        raise InputError(argument("n"), shown(n), wanted, "call several times")


def check_known(model: SequenceModel, y: LabelsLike) -> None:
    """Raise an `InputError` for labels, or none, that a model with labels has never been trained on."""
    if model.target is None:
        return
    if y is None and not model.knows_no_label:
        wanted = f"a label, as this model never learned without one ({argument('label_dropout', 0)})"
        cure = f"give {argument('y')}, or 'empirical' for labels as frequent as in training"
        raise InputError(argument("y"), "None", wanted, cure)
    if y is not None and model.label_dropout == 1:
        wanted = f"None, as {argument('label_dropout', 1)} hid every label in training"
        raise InputError(argument("y"), shown(y), wanted, "leave it out, or fit with a smaller one")


def drawn_lengths(
    length: LengthsLike, n: int, known: LengthDistribution, seed: int, labels: dict[str, np.ndarray] | None = None
) -> np.ndarray:
    """Return the lengths (n,) to generate: those asked for, or draws given the encoded labels."""
    if length is None:
        return np.asarray(known.sample(n, runtime.generator_for("cpu", seed, "length"), labels))
    where, lengths = argument("length"), np.atleast_1d(np.asarray(length))
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or len(lengths) not in (1, n):
        raise InputError(where, shown(length), f"one whole number or an array of {n}", "give one of these")
    if not np.isfinite(known.log_prob(lengths)).all():
        possible = f"{known.max_length} letters" if known.fixed else f"1 to {known.max_length} letters"
        raise InputError(where, shown(length), f"{possible}, which this model makes", "give such a length, or none")
    return np.broadcast_to(lengths.astype(np.int64), (n,)).copy()


def drawn_labels(y: LabelsLike, target: Target | None, n: int, seed: int) -> Any:
    """Return y, or for ``"empirical"`` labels of n rows, drawn as they occur in the training data."""
    if not isinstance(y, str) or y != EMPIRICAL or target is None:
        return y
    if isinstance(target, Target) and target.kind == "class" and EMPIRICAL in target.classes_:
        raise InputError(
            argument("y"), "'empirical', which is also the name of a class", "labels to draw, or classes",
            'give ["empirical"] * n for the class, or an array of n classes drawn by yourself',
        )  # fmt: skip
    return target.draw(n, np.random.default_rng(runtime.seed_of(seed, "labels")))


def check_signal(y: LabelsLike, width: int, longest: int) -> None:
    """Raise an `InputError` unless a signal, (L, C) or (n, L, C), has as many positions as sequences are to have."""
    shape: tuple[int, ...] = np.shape(y)  # type: ignore[arg-type]
    if len(shape) in (2, 3) and shape[-2] not in (width, longest):
        raise InputError(
            argument("y"), f"a signal over {shape[-2]} positions", f"one over {width}, as many as letters",
            "give one row of the signal per letter, shape (L, C) or (n, L, C)",
        )  # fmt: skip


def warn_far(y: LabelsLike, target: Target | None) -> None:
    """Warn of values far outside those that were learned; `encode` refuses what are no values at all."""
    try:
        found = target.far_outside(y) if target is not None and y is not None else ""
    except ValueError:
        return
    if found:
        warn(found)


def as_guides(guidance: GuidanceLike) -> list[Guidance]:
    """Return the guides of an argument `guidance`."""
    several = isinstance(guidance, Sequence) and not isinstance(guidance, str)
    guides: list[Any] = [] if guidance is None else [*guidance] if several else [guidance]  # type: ignore[misc]
    for guide in guides:
        if not isinstance(guide, Guidance):
            cure = "ClassifierFree(2.0)"
            given = shorten(printable(" ".join(str(guide).split())))
            if isinstance(guide, type) and issubclass(guide, Guidance):
                given, cure = guide.__name__, f"one that was made, {guide.__name__}(...)"
            elif isinstance(guide, numbers.Real) and not isinstance(guide, bool):
                cure = f"ClassifierFree({guide})"
            elif callable(guide):
                given, cure = getattr(guide, "__name__", type(guide).__name__), "Reward(function) to follow a function"
            raise InputError(argument("guidance"), given, "objects of seqdiff.guidance", f"give {cure}")
    return guides


def sampled(request: SampleRequest, arguments: Arguments, verbose: int) -> dict[int, Any]:
    """Return the samples of a request by number; those with a forbidden motif are generated again."""
    model, motifs, seed, n = arguments.model, arguments.motifs, arguments.seed, len(request)
    sequences: dict[int, Any] = {}
    missing: dict[int, str] = dict.fromkeys(range(n), "")
    for attempt in range(1 if motifs is None else 1 + TRIES):
        which = torch.tensor(sorted(missing), device=request.lengths.device)
        made = model.decoded(request, which, runtime.seed_of(seed, "again", attempt) if attempt else seed, verbose)
        missing = {}
        for i, sequence in zip(which.tolist(), made, strict=True):
            motif = None if motifs is None else motifs.found(sequence)
            if motif is None:
                sequences[i] = sequence
            else:
                missing[i] = motif
        if not missing:
            break
    if missing:
        held = ", ".join(f"{motif} {count}" for motif, count in Counter(missing.values()).most_common())
        found = f"held a forbidden motif after {TRIES} more tries each ({held})"
        if not sequences:
            found = f"what all {n:,} samples hold: they {found}"
            cure = f"forbid less, or give another {argument('template')}"
            raise InputError(argument("forbid"), found, "what the model can leave out", cure)
        warn(f"{len(missing):,} of {n:,} {found}; they are left out")
    return sequences


class Originals:
    """Sequences to edit, as a generator reads them: `sequences`, `tokens` (N, L), `lengths` (N,) in letters."""

    def __init__(
        self, given: SequencesLike, alphabet: Alphabet, known: LengthDistribution, sequence_column: str | None = None
    ) -> None:
        self.alphabet = alphabet
        if isinstance(alphabet, (WordAlphabet, PieceAlphabet, OverlappingKmers)):
            raise InputError(
                argument("alphabet"), f"{alphabet.name}, whose letters are not read one after the other",
                "one of which a letter can be changed without others", "fit a model with another alphabet",
            )  # fmt: skip
        self.records = self._read(given, sequence_column)
        self.sequences = alphabet.normalize(self.records.sequences)
        try:
            self.tokens, self.lengths = alphabet.encode(self.sequences)
        except AlphabetError as error:
            found, wanted = alphabet.wrong(error.letter, error.position)
            raise InputError(self.place(error.index), found, wanted, "correct the sequence") from None
        impossible = np.flatnonzero(~np.isfinite(known.log_prob(self.lengths)))
        if len(impossible):
            first = int(impossible[0])
            wanted = f"{known.max_length}" if known.fixed else f"1 to {known.max_length}"
            found = f"{self.lengths[first]} letters"
            raise InputError(self.place(first), found, f"{wanted}, as this model makes", "leave it out")

    def _read(self, given: SequencesLike, sequence_column: str | None) -> Records:
        if self.alphabet.shape is not None:
            given = np.asarray(given)[None] if np.shape(given) == self.alphabet.shape else given  # type: ignore[arg-type]
            return self._of_shape(read_records(given))
        if isinstance(given, str) and not os.path.isfile(os.path.expanduser(given)):
            # One sequence; what looks like the name of a file, and could not be a sequence, is a file that is missing.
            pieces = set(self.alphabet.split(self.alphabet.normalize([given])[0]))
            if pieces <= set(self.alphabet.letters) or not re.search(r"[/\\]|\.\w{1,8}$", given):
                given = [given]
        try:
            return read_records(given, sequence_column=sequence_column)
        except InputError as error:
            raise InputError(_as_sequences(error.parts[0]), *error.parts[1:]) from None

    def _of_shape(self, records: Records) -> Records:
        """Return the records of images, which must have the shape of the model's."""
        if records.grid is None:
            raise InputError("sequences", "text", "images, as this model makes", "give an array of them")
        records.grid.alphabet(self.alphabet, "sequences")
        return records

    def __len__(self) -> int:
        return len(self.sequences)

    def place(self, i: int) -> str:
        """Return what to call sequence i in an error."""
        return _as_sequences(self.records.place(i))

    def templates(self, free: np.ndarray, differ: bool, rows: np.ndarray) -> np.ndarray:
        """Return the letters (n, L, K) allowed in variants of `rows` (n,): any at `free` (n, L), or any other."""
        present = np.eye(len(self.alphabet), dtype=bool)[self.tokens[rows]]  # (n, L, K)
        return np.where(free[..., None], ~present if differ else True, present)

    def held(self, motifs: Forbidden, allowed: np.ndarray, row: int) -> str | None:
        """Return the forbidden motif that every variant of a sequence with these allowed letters (L, K) holds."""
        length = int(self.lengths[row])
        if motifs.patterns:
            return motifs.unavoidable(allowed[:length])
        # letters of several characters: what stays spells what stands between the free positions
        pieces = [""]
        for position, letter in enumerate(self.alphabet.split(self.sequences[row])):
            if allowed[position].sum() == 1:
                pieces[-1] += letter
            else:
                pieces.append("")
        return next((motif for piece in pieces if (motif := motifs.found(piece)) is not None), None)

    def infilled(self, mask: PositionsLike, n: int, motifs: Forbidden | None) -> np.ndarray:
        """Return the letters (N n, L, K) that n variants of each sequence may have, where `mask` lets them change."""
        rows = np.repeat(np.arange(len(self)), n)
        free = parse_positions(self.alphabet.positions(mask), self.lengths, "mask", self.place)
        allowed = self.templates(free[rows], False, rows)
        for i in range(len(self)) if motifs is not None else ():
            if (motif := self.held(motifs, allowed[i * n], i)) is not None:  # type: ignore[arg-type]
                found = f"{motif} where {argument('mask')} lets nothing change"
                wanted = f"nothing that {argument('forbid')} rules out"
                raise InputError(self.place(i), found, wanted, "let more change, or forbid less")
        return allowed

    def mutated(self, count: int, n: int, positions: PositionsLike, motifs: Forbidden | None, seed: int) -> np.ndarray:
        """Return the letters (N n, L, K) that n variants of each may have, which differ in `count` positions."""
        Whole(1).check("n_mutations", count)
        if positions is None:
            possible = np.arange(self.tokens.shape[1]) < self.lengths[:, None]
        else:
            possible = parse_positions(self.alphabet.positions(positions), self.lengths, "positions", self.place)
        few = np.flatnonzero(possible.sum(-1) < count)
        if len(few):
            i = int(few[0])
            where = "letters" if positions is None else "positions that may change"
            wanted = f"a smaller number, as {self.place(i)} has {possible[i].sum()} {where}"
            raise InputError(argument("n_mutations"), shown(count), wanted, "give one")
        rows = np.repeat(np.arange(len(self)), n)
        allowed = np.empty((len(rows), possible.shape[1], len(self.alphabet)), dtype=bool)
        left = np.arange(len(rows))
        held: str | None = None
        for attempt in range(1 if motifs is None else REDRAWS):
            generators = runtime.chunk_generators(len(rows), "cpu", seed, "positions", attempt)
            u = runtime.uniform(possible[rows].shape, generators, "cpu").numpy()[left]
            order = np.where(possible[rows[left]], u, 2.0).argsort(-1, kind="stable")
            free = np.zeros_like(possible[rows[left]])
            np.put_along_axis(free, order[:, : int(count)], True, -1)
            allowed[left] = self.templates(free, True, rows[left])
            if motifs is None:
                return allowed
            found = {i: self.held(motifs, allowed[i], int(rows[i])) for i in left.tolist()}
            left = np.array([i for i, motif in found.items() if motif is not None], dtype=int)
            if not len(left):
                return allowed
            held = found[int(left[0])]
        times = f"mutation{'s' * (count > 1)} drawn {REDRAWS} times did not touch"
        raise InputError(
            self.place(int(rows[left[0]])), f"{held}, which {count} {times}",
            f"nothing that {argument('forbid')} rules out",
            f"give it alone as {argument('positions')}, more mutations, or forbid less",
        )  # fmt: skip


def _as_sequences(where: str) -> str:
    """Return a place in data with the argument under the name that it has here: `read_records` calls it X."""
    return re.sub(r"^X(?=\[|\.|$)", "sequences", where)
