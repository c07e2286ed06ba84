"""`save` and `load` of `SequenceClassifier` and `SequenceRegressor`: one safetensors file, without the generator.

A predictor is of use with the generator whose noise it has learned from, which has a file of its own and is given
again. That it is the same one is told from what a few fixed sequences look like under its noise; where its hidden
states are read, from its weights.
"""

from __future__ import annotations

import copy
import hashlib
import os
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from seqdiff import runtime
from seqdiff.data import Alphabet, LengthLaw, target_from_dict
from seqdiff.estimators import persistence
from seqdiff.processes import Autoregressive, Clean, Process

SEQUENCES, LONGEST = 16, 64  # of what is compared
ALIKE = 0.02  # mean difference that another machine's arithmetic may make


class PredictorFiles:
    """What a predictor needs to be written and read."""

    alphabet_: Any
    length_law_: Any
    target_: Any
    process_: Process
    reader_: Any
    hidden: bool

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted predictor to one safetensors file; the generator is no part of it."""
        check_is_fitted(self, "reader_")
        header = {
            "format_version": persistence.FORMAT_VERSION,
            "class": type(self).__name__,
            "module": type(self).__module__,
            "parameters": persistence.plain_parameters(self, leave_out="noise_like"),
            "alphabet": self.alphabet_.to_dict(),
            "length_law": self.length_law_.to_dict(),
            "target": self.target_.to_dict(),
            "noise": type(self.process_).__name__,
            "body": weights_digest(self.body_) if self.hidden else None,  # type: ignore[attr-defined]
        }
        tensors = {f"network.{name}": value for name, value in self.reader_.network.state_dict().items()}
        tensors |= {f"noise.{name}": value for name, value in fingerprint(self.process_, self.length_law_).items()}
        persistence.write_file(persistence.checked(path), header, tensors)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, noise_like: Any = None, network: Any = None, device: str = "auto"
    ) -> Any:
        """Read a predictor that `save` wrote.

        Parameters
        ----------
        path : path
        noise_like : generator, optional
            The fitted generator that it learned from, as it was given to `fit`; None if there was none.
        network : callable, optional
            The network, if it was a function.
        device : str
            Where to put it, without a generator; else it lies where that does.

        Returns
        -------
        SequenceClassifier or SequenceRegressor

        Raises
        ------
        ValueError
            If the file holds something else, or `noise_like` is another kind of generator, with other letters or other
            noise, or, where its hidden states are read, with other weights.

        Examples
        --------
        >>> from seqdiff import MaskedDiffusion, SequenceClassifier
        >>> X, y = ["ACGTAC", "TTGTAC", "ACGAAC", "TTCTAC"], ["ac", "tt", "ac", "tt"]
        >>> model = MaskedDiffusion(width=8, depth=1, epochs=1, savepath=None, verbose=0).fit(X)
        >>> SequenceClassifier(noise_like=model, epochs=1).fit(X, y).save("classifier.safetensors")
        >>> SequenceClassifier.load("classifier.safetensors", noise_like=model).classes_.tolist()
        ['ac', 'tt']
        """
        given, (path, header) = path, persistence.any_header(path, f"a file that {cls.__name__}.save wrote")
        if "noise" not in header:
            raise ValueError(f"{given} holds a {header['class']}, not a {cls.__name__}; read it with seqdiff.load")
        tensors = persistence.read_tensors(path)
        with persistence.malformed(given):
            found = persistence.find_class(PredictorFiles, header, given)
            if not issubclass(found, cls):
                raise ValueError(
                    f"{given} holds a {header['class']}, not a {cls.__name__}; call {header['class']}.load"
                )
            settings = {name: persistence.unplain(value) for name, value in header["parameters"].items()}
            if unknown := settings.keys() - found().get_params(deep=False).keys():
                names = ", ".join(sorted(unknown))
                raise ValueError(f"{given} has parameters that are not known ({names}); upgrade seqdiff")
            if settings.get("network") == persistence.CALLABLE:
                if network is None:
                    raise ValueError(f"{given} has a network of your own; give it again: load(path, network=...)")
                settings["network"] = network
            model = persistence.unfitted(given, found, settings, tensors, noise_like=noise_like)
            model.alphabet_ = Alphabet.from_dict(header["alphabet"])
            model.length_law_ = LengthLaw.from_dict(header["length_law"])
            model.target_ = target_from_dict(header["target"])
            model._fill(given, header, tensors, device)
        return model

    def _fill(self, path: Any, header: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        """Build what was fitted and fill it with what was saved."""
        generator = self._to_read(path, header)
        self.process_ = Clean(len(self.alphabet_)) if generator is None else generator.objective_.process
        noise = {name.removeprefix("noise."): value for name, value in tensors.items() if name.startswith("noise.")}
        if not alike(noise, fingerprint(self.process_, self.length_law_)):
            raise ValueError(
                f"{path} learned from a {header['noise']} generator with other settings than noise_like has; give that "
                "model, or fit another predictor"
            )
        reader = self._build(generator)  # type: ignore[attr-defined]
        weights = {n.removeprefix("network."): v for n, v in tensors.items() if n.startswith("network.")}
        try:
            reader.network.load_state_dict(weights)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"{path} does not fit the network it names: {reason}") from None
        place = runtime.choose_device(device)
        if generator is not None:
            place = next(generator.objective_.parameters()).device
        self.reader_ = runtime.place(reader, place).requires_grad_(False).eval()
        self._learned()  # type: ignore[attr-defined]

    def _to_read(self, path: Any, header: dict[str, Any]) -> Any:
        """Return the generator, if it can be the one that was learned from; None if there was none."""
        generator = self._generator() if self.noise_like is not None else None  # type: ignore[attr-defined]
        if header["noise"] == Clean.__name__:
            if generator is not None:
                raise ValueError(f"{path} learned from clean sequences, so it has no generator; leave noise_like out")
            return None
        if generator is None:
            raise ValueError(
                f"{path} learned from the noise of a generator ({header['noise']}); give it again: "
                f"{header['class']}.load(path, noise_like=model)"
            )
        found = type(generator.objective_.process).__name__
        if found != header["noise"]:
            raise ValueError(
                f"{path} learned from the noise of {header['noise']}, but noise_like is a {type(generator).__name__} "
                f"with that of {found}; give the model that it learned from"
            )
        if generator.alphabet_ != self.alphabet_:
            raise ValueError(
                f"{path} learned from a generator of {self.alphabet_.name} letters ({len(self.alphabet_)}), but those "
                f"of noise_like are {generator.alphabet_.name} ({len(generator.alphabet_)}); give that model"
            )
        if (longest := generator.length_law_.max_length) != self.length_law_.max_length:
            raise ValueError(
                f"{path} learned from a generator of up to {self.length_law_.max_length} letters, but noise_like makes "
                f"up to {longest}; give that model"
            )
        if header["body"] is not None and weights_digest(generator.objective_.network) != header["body"]:
            raise ValueError(
                f"{path} reads the hidden states of a generator with other weights than noise_like has; give that "
                "model, or fit another predictor"
            )
        return generator


def fingerprint(process: Process, law: LengthLaw) -> dict[str, Tensor]:
    """Return what a process shows of fixed sequences under fixed noise: letters or vectors `x`, times `t`; on the CPU.

    Empty where there is no noise.
    """
    if isinstance(process, (Autoregressive, Clean)):
        return {}
    process = copy.deepcopy(process).cpu()
    length = min(law.max_length, LONGEST)
    x0 = torch.arange(SEQUENCES * length).view(SEQUENCES, length) % process.letters
    mask = torch.ones_like(x0, dtype=torch.bool)
    u = (torch.arange(SEQUENCES, dtype=torch.float64) + 0.5) / SEQUENCES
    with torch.no_grad():
        x, t = process.reading(process.noised(x0, u, mask, runtime.generator_for("cpu", 0, "fingerprint")))
    return {"x": x if not x.is_floating_point() else x.float(), "t": t.float()}


def alike(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two fingerprints are the same, but for rounding."""
    if {name: value.shape for name, value in a.items()} != {name: value.shape for name, value in b.items()}:
        return False

    def difference(x: Tensor, y: Tensor) -> Tensor:
        if not x.is_floating_point():
            return (x != y).double()
        return (x - y).abs().double() / (1 + y.abs())

    return all(float(difference(a[name], b[name]).mean()) < ALIKE for name in a)


def weights_digest(network: nn.Module) -> str:
    """Return a hash of a network's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
