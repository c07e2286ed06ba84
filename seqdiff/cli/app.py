"""The group of commands, and how each of them fails: with one sentence and an exit status.

0  done        1  something is wrong with the data, a file or a setting
2  the command is not written as it should be        130  stopped by Ctrl-C
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import Any, TextIO

import click

from seqdiff import __version__
from seqdiff.errors import NOTATION, NOTHING, FirstFailed, is_first

COMMANDS = {
    "demo": ("commands", "Fit a model to promoters, generate new ones, and show how good they are."),
    "prepare": (
        "commands",
        "Make a STORE of the sequences in DATA, which fit takes where they do not fit into memory.",
    ),
    "fit": ("commands", "Fit a model to the sequences in DATA."),
    "generate": ("commands", "Generate N new sequences with MODEL: a run folder, a model file, or hf://owner/name."),
    "design": ("designs", "Generate N sequences with MODEL that pass rules, as a table with their metrics and origin."),
    "order": ("designs", "Write the file that is sent to a vendor from DESIGNS."),
    "evaluate": (
        "designs",
        "Compare the sequences in each file of GENERATED with natural and with shuffled ones.",
    ),
    "report": ("designs", "Write one HTML file about RUN: data, training, samples, designs, how to repeat it."),
    "score": ("commands", "Compute the log-likelihood of the sequences in DATA under MODEL."),
    "compare": ("experiments", "Fit several models to the sequences in DATA and compare them."),
    "classify": ("guiding", "Fit a classifier or a regressor to labelled sequences in DATA, to guide a generator."),
    "sweep": ("experiments", "Generate sequences with MODEL under guidance of several strengths, and compare them."),
    "check": ("info", "Check the sequences in DATA for what a fit refuses or suffers from."),
    "info": ("info", "Describe PATH: a run folder, a model file, a shared model, a store, or a file of sequences."),
}
"""The module of each command and the first sentence of its help: `seqdiff --help` loads neither torch nor a command."""

GO_ON = {
    "fit": "Stopped. The same command with --resume continues from the last checkpoint.",
    "prepare": "Stopped. Nothing was written; the same command starts again.",
    "demo": "Stopped. seqdiff demo starts again from the beginning.",
    "generate": "Stopped. Nothing was written; the same command starts again.",
    "design": "Stopped. Nothing was written; the same command starts again.",
    "classify": "Stopped. Nothing was written; the same command starts again.",
    "sweep": "Stopped. The rows that were finished are in the .csv file.",
    "compare": "Stopped. The table of the models that were finished is in the folder named above.",
}


class FriendlyGroup(click.Group):
    """A group that loads a command when it is needed, and whose users see no traceback unless with --traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        from seqdiff.estimators.classes import import_outside

        modules = ctx.params.get("modules") or ()
        if modules and "" not in sys.path:
            sys.path.insert(0, "")  # the current folder, which Python leaves out where a script starts it
        import_outside(modules)  # first, so that the help of a command lists what they define
        return getattr(import_module(f"seqdiff.cli.{COMMANDS[cmd_name][0]}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with plain_messages(), printed_once():
                return super().invoke(ctx)
        except FirstFailed:
            ctx.exit(1)
        except KeyboardInterrupt:
            command = ctx.invoked_subcommand or ""
            click.echo("\n" + GO_ON.get(command, "Stopped."), err=True)
            ctx.exit(130)
        except BrokenPipeError:  # `| head` has seen enough; click ends quietly
            raise
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            unknown = isinstance(error, RuntimeError) and not _memory_is_full(error)
            if unknown or ctx.params.get("traceback"):
                raise
            raise click.ClickException(sentence(error)) from None


def _memory_is_full(error: BaseException) -> bool:
    runtime = sys.modules.get("seqdiff.runtime")  # where it is not loaded, nothing can have filled a GPU
    return isinstance(error, MemoryError) or (runtime is not None and runtime.memory_is_full(error))


def sentence(error: BaseException) -> str:
    """Return the sentence that describes an error."""
    if _memory_is_full(error):
        return "the memory is full; a smaller --batch-size, --width or --depth needs less"
    if isinstance(error, OSError) and not isinstance(error, ValueError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def as_option(name: str, value: object = NOTHING) -> str:
    """Return a parameter, or a setting of it, as the running command has it.

    Examples
    --------
    >>> as_option("model_name"), as_option("ambiguous", "drop"), as_option("hidden", True)
    ('--model-name', '--ambiguous drop', '--hidden')
    """
    context = click.get_current_context(silent=True)
    names = {"X": "DATA"}
    for param in context.command.params if context else ():
        is_option = isinstance(param, click.Option)
        names[param.name or ""] = max(param.opts, key=len) if is_option else param.human_readable_name
    option = names.get(name, "--" + name.replace("_", "-"))
    if value is NOTHING or value is True:
        return option
    if value is False:
        return f"--no-{option[2:]}"
    text = "none" if value is None else shlex.quote(value) if isinstance(value, str) else repr(value)
    return f"{option} {text}"


class PlainHandler(logging.Handler):
    """Writes log lines above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm.auto import tqdm

        tqdm.write(record.getMessage(), file=sys.stderr)


@contextmanager
def printed_once() -> Iterator[None]:
    """Let the first of several processes alone print results."""
    if is_first():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def plain_messages() -> Iterator[None]:
    """Show notes and warnings as lines for a user, and parameters in all messages as options."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        from tqdm.auto import tqdm

        tqdm.write(f"Warning: {message}", file=sys.stderr)

    logger, handler = logging.getLogger("seqdiff"), PlainHandler()
    level, notation = logger.level, NOTATION.set(as_option)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        NOTATION.reset(notation)


@click.group(
    cls=FriendlyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
    epilog="seqdiff COMMAND --help describes a command and its options.",
)
@click.version_option(__version__, prog_name="seqdiff")
@click.option(
    "--import", "modules", metavar="MODULE", multiple=True, show_default=False,
    help="Import a Python module with estimators of your own; may be given several times.",
)  # fmt: skip
@click.option("--traceback", is_flag=True, show_default=False, help="Show where an error arose, for a bug report.")
def main(modules: tuple[str, ...], traceback: bool) -> None:
    """Learn DNA, RNA, protein or other sequences from your data and generate new ones.

    \b
    A first try, with nothing of your own:
      seqdiff demo
    With your own sequences (one a line, FASTA, or a table):
      seqdiff info promoters.fasta
      seqdiff fit promoters.fasta
      seqdiff generate runs/Autoregressive 1000 --out samples.fasta
    """
