"""Several processes: the noise, losses, samples and scores of one, files of the first alone, restarts."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqdiff.datasets import load_sigma70
from seqdiff.processes.categorical import stratified, turned
from seqdiff.ranks import Ranks
from seqdiff.runtime import Shared, normal, uniform

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "clusters"

FIT = """
import json, sys
import seqdiff
import seqdiff.data
import seqdiff.estimators.generator
from seqdiff import ranks

X = seqdiff.datasets.load_sigma70(330)
y = ["many" if s.count("A") > 14 else "few" for s in X]
mixed = [s[: 20 + i % 31] for i, s in enumerate(X)]
seqdiff.estimators.generator.MOST_SEARCHED = 0  # a store is read from the disk
ranks.current().first_does(lambda: seqdiff.data.prepare_store(mixed, "mixed.store", verbose=0))
small = {"network": "conv", "width": 16, "depth": 1, "epochs": 2, "dropout": 0.0, "batch_size": 64}
found = {}
for name in sys.argv[2].split(","):
    kinds = [("labels", X, y, {}), ("mixed", mixed, None, {"update_freq": 2})]
    kinds += [("stored", "mixed.store", None, {})] * (name == "MaskedDiffusion")
    for kind, data, labels, more in kinds:
        model = getattr(seqdiff, name)(**small, **more, verbose=0, savepath="runs").fit(data, labels)
        learned = [float(buffer.double().sum()) for buffer in model.objective_.buffers()]
        found[f"{name} {kind}"] = [*model.history_["loss"], *model.evaluations_["bits_per_letter"], *learned]
if ranks.current().first:
    with open(sys.argv[1], "w") as file:
        json.dump(found, file)
"""

USE = """
import sys
import numpy as np
import seqdiff
from seqdiff import ranks
from seqdiff.guidance import Reward

model = seqdiff.load("model.safetensors")
model.generate(700, random_state=3, out=f"{sys.argv[1]}.fasta", forbid="AAAA")
guide = Reward(lambda sequences: [s.count("G") for s in sequences], particles=4)
model.generate(150, random_state=4, out=f"{sys.argv[1]}-guided.fasta", guidance=guide, steps=8)
drawn = model.generate(1, random_state=None, steps=2)
scores = model.score_samples(seqdiff.datasets.load_sigma70(700, 1), random_state=5)
everywhere = ranks.current().each([scores.sum(), *drawn])
assert everywhere == everywhere[:1] * len(everywhere)
if ranks.current().first:
    np.save(f"{sys.argv[1]}.npy", scores)
"""

LOST = """
import os, signal, sys
import seqdiff
from seqdiff import ranks
from seqdiff.training import trainer

whole = trainer.Trainer._end_epoch
def end_epoch(self, epoch, bar):
    whole(self, epoch, bar)
    if epoch == 2 and ranks.current().rank == 1 and sys.argv[1] == "lost" and not ranks.restarted():
        os.kill(os.getpid(), signal.SIGKILL)
trainer.Trainer._end_epoch = end_epoch
model = seqdiff.MaskedDiffusion(width=16, depth=1, epochs=5, check_every=1, savepath=sys.argv[1], verbose=1)
model.fit(seqdiff.datasets.load_sigma70(300))
"""


def start(folder: Path, script: str, *arguments: str, processes: int = 1, options: str = "") -> Any:
    """Run a script in a folder, by `torchrun` where there are several processes."""
    (folder / "script.py").write_text(script)
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *options.split()]
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(
        [*command, "script.py", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def fitted(folder: Path, processes: int, names: str) -> dict[str, list[float]]:
    """Return losses and validation bounds of some estimators."""
    folder.mkdir()
    start(folder, FIT, "found.json", names, processes=processes)
    return json.loads((folder / "found.json").read_text())


# ---------------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("n", [3, 7, 128])
def test_shares_are_all_rows(n: int) -> None:
    rows = [i for rank in range(3) for i in range(n)[Ranks(rank, 3).share(n)]]
    assert rows == list(range(n))
    assert max(len(range(n)[Ranks(rank, 3).share(n)]) for rank in range(3)) <= -(-n // 3)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_noise_of_a_share_is_that_of_the_batch(rank: int) -> None:
    """In whatever order different draws are made."""

    def drawn(generator: Any, rows: int) -> list[torch.Tensor]:
        cpu = torch.device("cpu")
        return [
            uniform((rows, 5), generator, cpu),
            stratified(rows, generator, cpu),
            normal((rows, 2, 3), generator, cpu),
            turned(rows, generator, cpu),
            uniform((rows,), generator, cpu, torch.float32),
        ]

    among = Ranks(rank, 3)
    whole = drawn(torch.Generator().manual_seed(4), 11)
    mine = range(11)[among.share(11)]
    part = drawn(Shared(torch.Generator().manual_seed(4), 11, among), len(mine))
    for all_rows, rows in zip(whole, part, strict=True):
        assert torch.equal(all_rows[list(mine)], rows)


# ------------------------------------------------------------------------------------------------------------ processes


@pytest.mark.parametrize(
    "names",
    [
        "MaskedDiffusion,MultinomialDiffusion",
        pytest.param("Autoregressive,UniformDiffusion,DirichletFM,EmbeddingDiffusion", marks=pytest.mark.slow),
        pytest.param("SCUD,ClassicalDiffusion", marks=pytest.mark.slow),
    ],
)
def test_two_processes_learn_what_one_does(tmp_path: Path, names: str) -> None:
    """Losses, bounds and buffers to rounding; with labels, lengths that differ, several batches to an update."""
    alone, two = fitted(tmp_path / "alone", 1, names), fitted(tmp_path / "two", 2, names)
    assert len(alone) == 2 * len(names.split(",")) + ("MaskedDiffusion" in names)
    for name, values in alone.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-4, err_msg=name)
    runs = sorted(path.name for path in (tmp_path / "two" / "runs").iterdir())
    assert runs == sorted(path.name for path in (tmp_path / "alone" / "runs").iterdir())


def test_samples_and_scores_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    import seqdiff

    model = seqdiff.MaskedDiffusion(width=16, depth=1, epochs=2, savepath=None, verbose=0).fit(load_sigma70(200))
    model.save(tmp_path / "model.safetensors")
    for processes in (1, 2, 3):
        start(tmp_path, USE, f"of-{processes}", processes=processes)
    for name in ("of-{}.fasta", "of-{}-guided.fasta", "of-{}.npy"):
        contents = {(tmp_path / name.format(processes)).read_bytes() for processes in (1, 2, 3)}
        assert len(contents) == 1, name


@pytest.mark.slow
def test_lost_process_is_restarted_from_the_last_checkpoint(tmp_path: Path) -> None:
    """The weights are those of a run in which none was lost."""
    whole = start(tmp_path, LOST, "whole", processes=2)
    lost = start(tmp_path, LOST, "lost", processes=2, options="--max-restarts=1")
    assert "going on from step" in lost.stderr and "going on from step" not in whole.stderr
    files = [tmp_path / name / "MaskedDiffusion" / "check" / "model.safetensors" for name in ("whole", "lost")]
    uninterrupted, restarted = map(load_file, files)
    assert all(torch.equal(uninterrupted[name], restarted[name]) for name in uninterrupted)
    assert [path.name for path in (tmp_path / "lost").iterdir()] == ["MaskedDiffusion"]


@pytest.mark.slow
def test_commands_print_once_and_fail_once(tmp_path: Path) -> None:
    (tmp_path / "promoters.txt").write_text("\n".join(load_sigma70(100)))
    script = "from seqdiff.cli import main\nmain(prog_name='seqdiff')"
    fit = "fit promoters.txt --model masked --width 8 --depth 1 --epochs 1 --model-name mine"
    done = start(tmp_path, script, *fit.split(), processes=2)
    assert done.stderr.count("million weights") == 1
    done = start(tmp_path, script, *"score runs/mine promoters.txt".split(), processes=2)
    assert done.stdout.count("bits per letter") == 1, done.stdout
    with pytest.raises(AssertionError) as caught:
        start(tmp_path, script, *fit.split(), processes=2)
    assert str(caught.value).count("a finished run") == 1
    with pytest.raises(AssertionError, match="got 2 processes, expected one; start it without torchrun"):
        start(tmp_path, script, *"compare promoters.txt".split(), processes=2)


# ------------------------------------------------------------------------------------------------------------- examples


def commands(text: str) -> list[str]:
    """Return the arguments of `seqdiff` in an example."""
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    return words[words.index("seqdiff") + 1 :]


def test_examples_of_clusters_have_options_of_seqdiff() -> None:
    """Their last lines are a command that exists, with options that it has."""
    yaml = pytest.importorskip("yaml")
    from seqdiff.cli.commands import fit

    job = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    script = EXAMPLES / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    for words in (container["command"][container["command"].index("seqdiff") + 1 :], commands(script.read_text())):
        assert words[0] == "fit"
        context = fit.make_context("fit", ["-", *words[2:]], resilient_parsing=False)
        assert context.params["resume"] and context.params["model_name"] == "mine"
