"""What is written outside the package is as good as what is in it: found, checked, documented, saved, guided."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from safetensors import safe_open
from tiny import sequences
from torch import nn

import seqdiff
from seqdiff.cli import main
from seqdiff.networks import Network
from seqdiff.parameters import Real, parameters_of
from seqdiff.processes import Masked

TINY: dict[str, Any] = {"width": 8, "depth": 1, "epochs": 1, "savepath": None, "verbose": 0}
X = sequences(64)


class Lookup(Network):
    """A network of one embedding, scaled by an option of its own."""

    def __init__(self, states, letters, length, conditions, fixed_length, width: int = 8, scale: float = 1.0) -> None:
        super().__init__(states, letters, length, conditions, fixed_length)
        self.embed, self.out, self.scale = nn.Embedding(states, width), nn.Linear(width, letters), scale

    def hidden(self, x, t, cond=None, mask=None):
        return self.scale * self.embed(x)

    def head(self, hidden):
        return self.out(hidden)


class Sharp(seqdiff.SequenceGenerator):
    """Masked diffusion with a sharpness.

    Attributes
    ----------
    bound_ : str
    """

    process_class = Masked
    parameters = {"sharpness": Real(0, 1).doc("How sharp it is.")}
    defaults = {"lr": 0.25}

    def __init__(self, *, sharpness: float = 0.5, **common: Any) -> None:
        super().__init__(**common)
        self.sharpness = sharpness

    def _make_process(self) -> Masked:
        return Masked(len(self.alphabet_))


def test_a_parameter_is_checked_and_documented():
    """Its range holds at `fit`, and `help` has it with the defaults that hold for this class."""
    with pytest.raises(ValueError, match=r"sharpness: got 2, expected a number from 0 to 1; give such a number"):
        Sharp(sharpness=2, **TINY).fit(X)
    model = Sharp(**TINY)
    assert (model.lr, model.sharpness, Sharp.bound_) == (0.25, 0.5, "elbo")
    assert Sharp(lr=0.1).lr == 0.1
    text = Sharp.__doc__ or ""
    assert "sharpness : float, default 0.5\n    How sharp it is." in text and "lr : float, default 0.25" in text
    assert "fit_seed_ : int" in text


@pytest.mark.parametrize("name", [n for n in seqdiff.__all__ if isinstance(getattr(seqdiff, n), type)])
def test_every_parameter_is_documented_and_has_a_range(name):
    """The package's own classes: no parameter is missing from the docstring, or has no text."""
    cls = getattr(seqdiff, name)
    if not hasattr(cls, "parameters") or cls is seqdiff.SequenceGenerator:
        return
    for parameter in cls().get_params(deep=False):
        assert parameters_of(cls)[parameter].text
        assert f"\n{parameter} : " in cls.__doc__


def test_defaults_go_down_to_subclasses():
    class Sharper(Sharp):
        """Sharp, faster."""

        defaults = {"batch_size": 7}

    model = Sharper(sharpness=0.9)
    assert (model.lr, model.batch_size, model.sharpness) == (0.25, 7, 0.9)
    assert "batch_size : int, default 7" in (Sharper.__doc__ or "")


@pytest.mark.parametrize("network", ["conv", Lookup])
def test_options_of_a_network_are_reached_checked_and_saved(network, tmp_path):
    options = {"kernel": 3, "dilations": [1, 2]} if network == "conv" else {"scale": 0.5}
    model = seqdiff.MaskedDiffusion(network=network, network_options=options, **TINY).fit(X)
    if network == "conv":
        assert model.objective_.network.blocks[0].conv.kernel == 3
    else:
        assert model.objective_.network.scale == 0.5
    model.save(tmp_path / "m.safetensors")
    loaded = seqdiff.load(tmp_path / "m.safetensors", network=None if network == "conv" else network)
    assert loaded.network_options == options
    assert loaded.generate(5, random_state=0) == model.generate(5, random_state=0)
    with pytest.raises(ValueError, match="network_options: got 'colour' for the network .*, expected 'width'"):
        seqdiff.MaskedDiffusion(network=network, network_options={"colour": 1}, **TINY).fit(X)


def test_two_classes_of_one_name_are_told_apart(tmp_path):
    """A file says the module too: an outside class called SCUD is not seqdiff's, nor the other way round."""
    mine = type("SCUD", (Sharp,), {"__module__": __name__, "__doc__": "Another SCUD."})
    mine(**TINY).fit(X).save(tmp_path / "mine.safetensors")
    seqdiff.SCUD(**TINY).fit(X).save(tmp_path / "own.safetensors")
    assert type(seqdiff.load(tmp_path / "mine.safetensors")) is mine
    assert type(seqdiff.load(tmp_path / "own.safetensors")) is seqdiff.SCUD
    with safe_open(tmp_path / "mine.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["seqdiff"])["module"] == __name__


OUTSIDE = '''
"""An estimator of another package."""
from seqdiff import MaskedDiffusion
from seqdiff.parameters import Whole


class FarDiffusion(MaskedDiffusion):
    """Masked diffusion with a distance."""

    parameters = {"distance": Whole(1, 9).doc("How far.")}

    def __init__(self, *, distance: int = 2, **common):
        super().__init__(**common)
        self.distance = distance
'''


def test_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`--import MODULE` makes an estimator a model like any other: options, checks, files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("far_away.py").write_text(OUTSIDE)
    Path("x.txt").write_text("\n".join(X))

    def run(line: str) -> Any:
        return CliRunner().invoke(main, line.split())

    try:
        assert "How far.  [default: 2]" in " ".join(
            run("--import far_away fit x.txt --model far --help").stdout.split()
        ).replace(". [", ".  [")
        wrong = run("--import far_away fit x.txt --model far --distance 10 --epochs 1")
        assert "--distance: got 10, expected a whole number from 1 to 9" in wrong.stderr
        fitted = run("--import far_away fit x.txt --model far-diffusion --width 8 --epochs 1 --model-name far")
        assert fitted.exit_code == 0, fitted.stderr
        assert len(run("--import far_away generate runs/far 3").stdout.split()) == 3
        assert "--import: got 'far_off'" in run("--import far_off info x.txt").stderr
    finally:
        sys.modules.pop("far_away", None)
