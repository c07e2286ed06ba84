"""Alphabets: an ordered set of letters, and the conversion of strings to integer arrays and back.

Letter i of the alphabet is token i; a letter may be of several characters (k-mers, codons, chemical symbols).
Codes: IUPAC-IUB 1984 (nucleotides), IUPAC-IUBMB 1983 (amino acids; J = I or L is the later mass-spectrometry code).
"""

from __future__ import annotations

import math
import numbers
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain, product
from string import whitespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from seqdiff.errors import InputError, argument, listed, shorten, shown

NUCLEOTIDE_CODES = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
PROTEIN_CODES = {"B": "DN", "Z": "EQ", "J": "IL", "X": "ACDEFGHIKLMNPQRSTVWY"}
RARE_AMINO_ACIDS = "UO"  # selenocysteine, pyrrolysine: IUPAC letters, but not of the twenty
GAPS = "-."
LETTERS = {"dna": "ACGT", "rna": "ACGU", "protein": "ACDEFGHIKLMNPQRSTVWY"}
# A bracket atom, an element, a bond, branch, ring ...: one letter each (Schwaller et al. 2019, arXiv 1811.02633).
SMILES_LETTERS = r"\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>|\*|\$|%[0-9]{2}|[0-9]"
MOST_WORDS = 65_536  # that an alphabet of k-mers may have
ASCII_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


class AlphabetError(ValueError):
    """A letter that the alphabet does not have.

    Parameters
    ----------
    message : str
    index, position : int
        The sequence, and the character in it, both from 0; also attributes.
    letter : str
        The character there; also an attribute.
    """

    def __init__(self, message: str, index: int, position: int, letter: str):
        super().__init__(message)
        self.index, self.position, self.letter = index, position, letter

    def __reduce__(self):
        return type(self), (self.args[0], self.index, self.position, self.letter)


def upper(sequence: str) -> str:
    """Return the upper case of ASCII letters only: "ß".upper() is "SS", two serines."""
    return sequence.upper() if sequence.isascii() else sequence.translate(ASCII_UPPER)


def unknown(flat: np.ndarray, lengths: np.ndarray, missing: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns (in letters) of the flat tokens that equal `missing`, in reading order."""
    where = np.flatnonzero(flat == missing)
    ends = np.cumsum(lengths)
    rows = np.searchsorted(ends, where, side="right")
    return rows, where - (ends[rows] - lengths[rows])


def guess_alphabet(sequences: Sequence[str]) -> str:
    """Return ``"dna"``, ``"rna"`` or ``"protein"`` by counts of letters in any case (see `resolve_alphabet`)."""
    text = "".join([sequence.strip() for sequence in sequences])
    if text.isascii():
        codes = np.bincount(np.frombuffer(text.upper().encode("ascii"), dtype=np.uint8), minlength=128)
        counts = Counter({chr(i): int(n) for i, n in enumerate(codes) if n})
    else:
        counts = Counter(text.translate(ASCII_UPPER))
    for gap in GAPS:
        counts.pop(gap, None)
    total = sum(counts.values())
    t, u = counts["T"], counts["U"]
    bases = counts["A"] + counts["C"] + counts["G"] + t + u
    # Many N's would pass for asparagine: letters that are all nucleotide codes, mostly plain ones, are nucleotides.
    ambiguous = sum(counts[code] for code in NUCLEOTIDE_CODES)
    masked = bases + ambiguous == total and bases + counts["N"] >= 0.9 * total and bases >= 0.5 * total
    if total and (bases >= 0.9 * total or masked):
        return "rna" if u > t else "dna"
    amino = sum(counts[letter] for letter in LETTERS["protein"])
    other = {x: n for x, n in counts.items() if x not in LETTERS["protein"] and x not in "BZJXUO*"}
    if total and not other and amino >= 0.9 * total:
        return "protein"
    found = ", ".join(repr(x) for x, _ in Counter(other or counts).most_common(8)) or "none but gaps"
    wanted = "those of DNA, RNA or protein, as text and SMILES are never guessed"
    cure = f"pass {argument('alphabet', 'dna')}, 'rna', 'protein', 'smiles' or a string of all the letters"
    raise InputError(argument("alphabet"), f"letters (among them {found})", wanted, cure)


def base_of(name: str) -> str:
    """Return the one of dna, rna and protein of which an alphabet of this name has letters or words, "" where of none.

    >>> base_of("codons"), base_of("protein 2-mers"), base_of("custom")
    ('dna', 'protein', '')
    """
    if name in LETTERS:
        return name
    words = re.fullmatch(r"(dna|rna|protein) (?:overlapping )?\d+-mers", name)
    return "dna" if name == "codons" else words[1] if words else ""


def check_name(name: str, base: str, letters: Sequence[str], width: int) -> None:
    """Refuse other letters under a name that means something."""
    wanted = ""
    if name == base and base and set(letters) != set(LETTERS[base]):
        wanted = f"the letters {LETTERS[base]}"
    elif name != base and base and not (width and set("".join(letters)) <= set(LETTERS[base])):
        wanted = f"words of one length, made of {LETTERS[base]}"
    elif name == "smiles" and not all(re.fullmatch(SMILES_LETTERS, letter) for letter in letters):
        wanted = "the atoms, bonds, branches and rings of SMILES"
    if wanted:
        found = f"{name!r} for {shorten(''.join(letters))!r}"
        raise InputError(argument("name"), found, f"{wanted} under this name", "choose another name")


def words_of(letters: str | Sequence[str], k: int) -> tuple[list[str], str]:
    """Return all words of k letters, and the name of their alphabet; `letters` may be the name dna, rna or protein.

    >>> words_of("ab", 2)
    (['aa', 'ab', 'ba', 'bb'], '2-mers')
    """
    if isinstance(letters, str) and letters.lower() in LETTERS:
        letters = LETTERS[letters.lower()]
    if len(set(letters)) < 2 or len(set(letters)) < len(letters) or any(len(letter) != 1 for letter in letters):
        wanted = "two or more different letters of one character, of which k-mers are made"
        raise InputError(argument("letters"), shown(letters, 40), wanted, "give such letters")
    most = int(math.log(MOST_WORDS, len(set(letters))) + 1e-9)  # no power of k itself: k may be a trillion
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 2 <= k <= most:
        if most < 2:
            found, wanted = f"{len(letters)} letters", f"fewer, as these make more than {MOST_WORDS:,} words of two"
            raise InputError(argument("letters"), found, wanted, "take the letters themselves")
        words = f"of {len(letters)} letters at most {MOST_WORDS:,} words, each a letter of its own"
        raise InputError("k", shown(k), f"a whole number from 2 to {most}, which makes {words}", "give one of these")
    base = next((name for name, own in LETTERS.items() if set(own) == set(letters)), "")
    return ["".join(word) for word in product(letters, repeat=k)], f"{base} {k}-mers".strip()


def code_table(points: np.ndarray, ignores_case: bool) -> np.ndarray:
    """Return the token of each code point, the number of tokens where there is none; the last is for all beyond."""
    table = np.full(max(256, points.max() + 2), len(points), dtype=np.min_scalar_type(len(points)))
    table[points] = np.arange(len(points))
    if ignores_case:
        table[points + 32] = np.arange(len(points))
    return table


class Alphabet:
    """An ordered set of letters; immutable, hashable, equal to another with the same letters and name.

    Parameters
    ----------
    letters : str or sequence of str
        A string of the letters themselves, or a list of letters of any number of characters. Then the longest letter
        that fits is read first; letters of one length k > 1 are read k characters at a time, whatever stands there.
        Everything that counts letters counts these: lengths, templates, bits per letter.
    name : str
        Shown in messages. The names ``dna``, ``rna`` and ``protein`` belong to their own letters (in any order): these
        alphabets ignore case, know IUPAC codes and, for nucleotides, the complement. ``codons`` and ``dna 3-mers``
        (``rna 2-mers``, ...) belong to k-mers of such letters, ``smiles`` to what `SMILES_LETTERS` matches.

    Attributes
    ----------
    letters : tuple of str
    name : str
    dtype : numpy.dtype
        The smallest unsigned integer type that holds every token.
    complement : tuple of int or None
        For each token its complement's token (dna and rna only).
    ordered : bool
        Whether neighbouring letters are alike, as levels of images are.
    shape : tuple of int or None
        (H, W) or (H, W, C) where sequences are images (see `Levels`), None where they are strings.

    Raises
    ------
    InputError
        Fewer than two letters, a repeated or empty letter, or one of these names with other letters.

    Examples
    --------
    >>> from seqdiff.data import Alphabet
    >>> vowels = Alphabet("aeiou", name="vowels")
    >>> tokens, lengths = vowels.encode(["aei", "ou"])
    >>> tokens.tolist(), lengths.tolist()
    ([[0, 1, 2], [3, 4, 0]], [3, 2])
    >>> vowels.decode(tokens, lengths)
    ['aei', 'ou']
    >>> Alphabet(["C", "Cl", "N"]).encode(["CClN"])[0].tolist()
    [[0, 1, 2]]
    """

    ordered: ClassVar[bool] = False
    shape: tuple[int, ...] | None = None

    def __init__(self, letters: str | Sequence[str], name: str = "custom"):
        letters = tuple(letters)
        for letter in letters:
            if not isinstance(letter, str) or not letter or "\0" in letter:
                wanted = "letters of one character or more, without the character \\0"
                raise InputError(argument("alphabet"), f"the letter {shown(letter)}", wanted, "give such strings")
        repeated = [letter for letter, count in Counter(letters).items() if count > 1]
        if repeated:
            found = f"{shown(''.join(letters), 40)}, which repeats the letter {shown(repeated[0])}"
            cure = "give every letter once (or one of the names 'dna', 'rna', 'protein')"
            raise InputError(argument("alphabet"), found, "different letters", cure)
        if len(letters) < 2:
            found = f"{shown(list(letters))}, which has {len(letters)}"
            raise InputError(argument("alphabet"), found, "at least two letters", "give them all")
        width = len(letters[0]) if len({len(letter) for letter in letters}) == 1 and len(letters[0]) > 1 else 0
        base = base_of(name)
        check_name(name, base, letters, width)
        self.letters, self.name = letters, name
        self.dtype = np.min_scalar_type(len(letters) - 1)
        self.ignores_case = bool(base)
        self._index = {letter: i for i, letter in enumerate(letters)}
        self._width = width  # of k-mers, else 0
        self._codes = PROTEIN_CODES if base == "protein" else {}
        if base in ("dna", "rna"):
            self._codes = {code: bases.replace("T", LETTERS[base][3]) for code, bases in NUCLEOTIDE_CODES.items()}
        # letters of the wider IUPAC alphabet that ambiguous="drop" leaves out
        self.ambiguity_codes = frozenset(self._codes) | frozenset(RARE_AMINO_ACIDS if base == "protein" else "")
        self.complement: tuple[int, ...] | None = None
        if name in ("dna", "rna"):
            pairs = LETTERS[name]
            self.complement = tuple(self._index[pairs[3 - pairs.index(letter)]] for letter in letters)
        # every letter is one character: table look-ups instead of a pattern
        self._single = all(len(letter) == 1 for letter in letters) and name != "smiles"
        if self._single:
            self._points = np.array([ord(letter) for letter in letters], dtype=np.uint32)
            self._table = code_table(self._points, bool(base))
        else:
            longest_first = "|".join(map(re.escape, sorted(letters, key=len, reverse=True)))
            self._pattern = re.compile(f"{SMILES_LETTERS if name == 'smiles' else longest_first}|.", re.DOTALL)
        self._complete = True

    @classmethod
    def kmers(cls, letters: str | Sequence[str] | Alphabet, k: int) -> Alphabet:
        """Return all words of k >= 2 letters, each a letter of its own: sequences are read k characters at a time.

        `letters` are ``"dna"``, ``"rna"``, ``"protein"``, or letters of one character; there may be 65,536 words. Nats
        per sequence stay comparable with those of other alphabets; bits per letter are bits per word.

        >>> words = Alphabet.kmers("dna", 3)
        >>> len(words), words.name, words.split("ACGTTT")
        (64, 'dna 3-mers', ['ACG', 'TTT'])
        >>> [words.letters[i] for i in words.allowed("RTG")]
        ['ATG', 'GTG']
        """
        return cls(*words_of(letters.letters if isinstance(letters, Alphabet) else letters, k))

    def __setattr__(self, key: str, value: object) -> None:
        if "_complete" in self.__dict__:
            raise AttributeError(f"an Alphabet cannot be changed (tried to set {key!r}); make a new one")
        super().__setattr__(key, value)

    def __len__(self) -> int:
        return len(self.letters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alphabet) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.letters, self.name))

    def __repr__(self) -> str:
        letters = "".join(self.letters) if self._single else list(self.letters)
        return f"Alphabet({letters!r}, name={self.name!r})"

    def __reduce__(self):
        return Alphabet.from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict that JSON can hold; `from_dict` reads it back."""
        own = {} if type(self) is Alphabet else {"kind": type(self).__name__}
        return {"letters": list(self.letters), "name": self.name, **own}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Alphabet:
        """Return the alphabet that `to_dict` wrote, of its class, which must be seqdiff's or already imported."""
        known: list[type[Alphabet]] = [Alphabet]
        for kind in known:  # grows on the way
            known += kind.__subclasses__()
        kinds = {kind.__name__: kind for kind in known}
        name = d.get("kind", "Alphabet")
        if name not in kinds:
            found = f"the kind {shown(name)}"
            raise InputError(argument("alphabet"), found, f"one of {listed(kinds)}", "upgrade seqdiff")
        return kinds[name](**{name: value for name, value in d.items() if name != "kind"})

    def normalize(self, sequences: Sequence[str]) -> list[str]:
        """Return the sequences in upper case for dna, rna, protein and words of their letters.

        White space around a sequence is removed, unless it is among the letters.

        >>> from seqdiff.data import DNA
        >>> DNA.normalize([" acgt", "TTga"])
        ['ACGT', 'TTGA']
        """
        own = {character for character in "".join(self.letters) if character.isspace()}
        around = "".join(set(whitespace) - own) if own else None
        sequences = [sequence.strip(around) for sequence in sequences]
        return [upper(s) for s in sequences] if self.ignores_case else list(sequences)

    def scan(self, sequences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return all tokens in one row, (sum of lengths,), ``len(self)`` for what is no letter; and lengths (N,)."""
        if self._single:
            lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
            text = "".join(sequences)
            table = self._table
            if text.isascii():
                return table[np.frombuffer(text.encode("ascii"), dtype=np.uint8)], lengths
            points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
            return table[np.minimum(points, len(table) - 1)], lengths
        index, pieces = self._index, [self.split(upper(s) if self.ignores_case else s) for s in sequences]
        lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        flat = [index.get(piece, len(self)) for piece in chain.from_iterable(pieces)]
        return np.array(flat, dtype=np.min_scalar_type(len(self))), lengths

    def split(self, sequence: str) -> list[str]:
        """Return the letters of one sequence; a character that belongs to none stands alone (of k-mers, k characters).

        >>> Alphabet(["C", "Cl", "N"]).split("CCl?N")
        ['C', 'Cl', '?', 'N']
        """
        if self._width:
            return [sequence[i : i + self._width] for i in range(0, len(sequence), self._width)]
        return list(sequence) if self._single else self._pattern.findall(sequence)

    def choices(self, entry: str) -> list[str]:
        """Return the symbols of an entry of a template's list, any of which may stand at its position."""
        return [entry] if entry in self._index else self.split(entry)

    def join(self, letters: Sequence[str]) -> str:
        """Return the sequence of letters."""
        return "".join(letters)

    @property
    def described(self) -> str:
        """Return what sequences of this alphabet are called in messages."""
        return f"{self.name} sequences"

    def collect(self, sequences: Sequence[Any]) -> Any:
        """Return single results of `decode` as users get them: a list, of images an array."""
        return list(sequences)

    def template(self, given: Any) -> Any:
        """Return a template as a string, or as a list with an entry for each position."""
        return given

    def positions(self, given: Any) -> Any:
        """Return named positions, where they are booleans, as (L,) or (n, L)."""
        return given

    def pad(self, flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return flat tokens of `scan` as a matrix of shape (N, L_max), zeros after each sequence's end."""
        width = int(lengths.max(initial=0))
        if flat.size == len(lengths) * width:
            return flat.reshape(len(lengths), width).astype(self.dtype)
        tokens = np.zeros((len(lengths), width), dtype=self.dtype)
        tokens[np.arange(width) < lengths[:, None]] = flat
        return tokens

    def encode(self, sequences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens, (N, L_max) of `dtype` with zeros after a sequence's end, and lengths in letters, (N,) int64.

        Lower case is read as upper case by dna, rna, protein and words of their letters alone.

        Raises
        ------
        AlphabetError
            At the first letter that is not in the alphabet.
        TypeError
            For a single string: put it in a list.

        Examples
        --------
        >>> from seqdiff.data import DNA
        >>> DNA.encode(["ACNT"])
        Traceback (most recent call last):
            ...
        seqdiff.alphabets.alphabet.AlphabetError: sequence 0: got 'N' at position 3, expected A, C, G or T, as the dna alphabet has; correct the sequence
        """  # noqa: E501
        if isinstance(sequences, str):
            raise TypeError("encode takes a list of strings; put the sequence in a list")
        flat, lengths = self.scan(sequences)
        rows, columns = unknown(flat, lengths, len(self))
        if len(rows):
            row = int(rows[0])
            position, letter = self.locate(sequences[row], int(columns[0]))
            found, wanted = self.wrong(letter, position)
            message = f"sequence {row}: got {found}, expected {wanted}; correct the sequence"
            raise AlphabetError(message, row, position, letter)
        return self.pad(flat, lengths), lengths

    def locate(self, sequence: str, column: int) -> tuple[int, str]:
        """Return the position in characters of the letter with number `column` (both from 0), and that letter."""
        pieces = self.split(sequence)
        return sum(map(len, pieces[:column])), pieces[column]

    def wrong(self, letter: str, position: int) -> tuple[str, str]:
        """Return what was found (position from 0) and what was expected, for an error."""
        if len(letter) < self._width:
            many = f"{self._width} characters at a time, as the {self.name} alphabet reads them"
            no_multiple = f"the {position + len(letter)} of this sequence are no multiple of {self._width}"
            return f"{shown(letter)} at the end, as {no_multiple}", many
        letters = [shown(x, 20)[1:-1] if x.strip() == x else shown(x, 20) for x in self.letters[:30]]
        known = f"{', '.join(letters[:-1])} or {letters[-1]}"
        if len(self) > 30:
            known = f"{', '.join(letters)} ... ({len(self)} letters)"
        return f"{shown(letter)} at position {position + 1}", f"{known}, as the {self.name} alphabet has"

    def decode(self, tokens: ArrayLike, lengths: ArrayLike | None = None) -> list[str]:
        """Return the strings of tokens (N, L), of the first `lengths` (N,) of each row, by default all.

        Raises
        ------
        InputError
            Another shape, a length beyond L, or a token that is no letter's number.

        Examples
        --------
        >>> from seqdiff.data import DNA
        >>> DNA.decode([[0, 1, 2, 3], [2, 2, 0, 0]], lengths=[4, 2])
        ['ACGT', 'GG']
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 2:
            cure = "give a row for each sequence"
            raise InputError(argument("tokens"), f"shape {tokens.shape}", "shape (N, L)", cure)
        count, width = tokens.shape
        lengths = np.full(count, width) if lengths is None else np.asarray(lengths)
        if lengths.shape != (count,) or (count and (lengths.min() < 0 or lengths.max() > width)):
            wanted = f"one length from 0 to {width} for each of the {count} rows"
            raise InputError(argument("lengths"), shown(lengths), wanted, "give such lengths")
        if not count or not width:
            return [""] * count
        real = np.arange(width) < lengths[:, None]  # (N, L)
        tokens = np.where(real, tokens, 0)
        if tokens.min() < 0 or tokens.max() >= len(self):
            found, wanted = f"{tokens.min()}..{tokens.max()}", f"tokens from 0 to {len(self) - 1}"
            raise InputError(argument("tokens"), found, wanted, "give what this alphabet encoded")
        if not self._single:
            rows = zip(tokens.tolist(), lengths.tolist(), strict=True)
            return [self.join([self.letters[t] for t in row[:n]]) for row, n in rows]
        points = np.where(real, self._points[tokens], 0).astype(np.uint32)
        return points.view(f"<U{width}" if points.dtype.isnative else f">U{width}").ravel().tolist()

    def is_ambiguous(self, letter: str) -> bool:
        """Return whether it is no letter, but a code that may stand for one (N, R; B, J, O, U, X, Z in proteins)."""
        if not self._width:
            return letter in self.ambiguity_codes
        plain = set("".join(self.letters)) if self._codes else set()
        return len(letter) == self._width and letter not in self._index and set(letter) <= plain | self.ambiguity_codes

    def allowed(self, symbol: str) -> tuple[int, ...]:
        """Return the tokens of a template's symbol: a letter, or an IUPAC code (N R Y ...; X B Z J; NNK of k-mers).

        >>> from seqdiff.data import DNA
        >>> DNA.allowed("R"), DNA.allowed("n"), DNA.allowed("T")
        ((0, 2), (0, 1, 2, 3), (3,))
        """
        key = symbol.upper() if self.ignores_case else symbol
        index, codes = self._index, self._codes
        if key in index:
            return (index[key],)
        if key in codes and not self._width:
            return tuple(sorted(index[letter] for letter in codes[key]))
        if self.is_ambiguous(key) and set(key) <= set("".join(self.letters)) | codes.keys():
            words = product(*(codes.get(character, character) for character in key))
            return tuple(sorted(index[word] for word in map("".join, words) if word in index))
        known = ", ".join([*(shown(x, 20)[1:-1] for x in self.letters[:30]), *codes])
        wanted = f"a symbol of the {self.name} alphabet, which has {known}"
        raise InputError(argument("symbol"), shown(symbol), wanted, "give one of these")

    def reverse_complement(self, sequences: Sequence[str]) -> list[str]:
        """Return the other strand, read in its own direction; dna and rna only.

        >>> from seqdiff.data import DNA, RNA
        >>> DNA.reverse_complement(["AACG", "T"]), RNA.reverse_complement(["AUG"])
        (['CGTT', 'A'], ['CAU'])
        """
        if self.complement is None:
            wanted = "dna or rna, which have complements"
            raise InputError("alphabet", f"the {self.name} alphabet", wanted, "give one of these")
        self.encode(sequences)  # a letter without a complement is an error, never passed through
        pairs = {self.letters[i]: self.letters[j] for i, j in enumerate(self.complement)}
        table = str.maketrans({**pairs, **{a.lower(): b.lower() for a, b in pairs.items()}})
        return [sequence.translate(table)[::-1] for sequence in sequences]
