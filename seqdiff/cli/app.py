"""The group of commands, and what all of them do when something goes wrong: one sentence and an exit status.

0  done        1  something is wrong with the data, a file or a setting
2  the command is not written as it should be        130  stopped by Ctrl-C
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import torch
from tqdm.auto import tqdm

import seqdiff
from seqdiff.cli.classify import classify
from seqdiff.cli.commands import demo, fit, generate, score
from seqdiff.cli.compare import compare
from seqdiff.cli.info import info
from seqdiff.cli.options import in_shell
from seqdiff.cli.sweep import sweep

GO_ON = {
    "fit": "Stopped. The same command with --resume goes on from the last checkpoint.",
    "demo": "Stopped. seqdiff demo starts again from the beginning.",
    "generate": "Stopped. Nothing was written; the same command starts again.",
    "classify": "Stopped. Nothing was written; the same command starts again.",
    "sweep": "Stopped. The rows that were finished are in the .csv file.",
    "compare": "Stopped. The table of the models that were finished is in the folder named above.",
}


class FriendlyGroup(click.Group):
    """A group whose users never see a traceback, unless they ask for it with --traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with plain_messages():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            command = ctx.invoked_subcommand or ""
            click.echo("\n" + GO_ON.get(command, "Stopped."), err=True)
            ctx.exit(130)
        except BrokenPipeError:  # `| head` has seen enough; click ends quietly
            raise
        except (ValueError, OSError, MemoryError, torch.OutOfMemoryError) as error:
            if ctx.params.get("traceback"):
                raise
            raise click.ClickException(sentence(error)) from None


def sentence(error: BaseException) -> str:
    """Return what to tell a person of an error."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "the memory is full; a smaller --batch-size, --width or --depth needs less"
    if isinstance(error, OSError) and not isinstance(error, ValueError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return in_shell(str(error)) or type(error).__name__


class PlainHandler(logging.Handler):
    """Writes what the library tells above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(in_shell(record.getMessage()), file=sys.stderr)


@contextmanager
def plain_messages() -> Iterator[None]:
    """Show notes and warnings as lines for a person, in the words of the command line."""

    def show(message: Any, category: Any, filename: Any, lineno: Any, file: Any = None, line: Any = None) -> None:
        tqdm.write(f"Warning: {in_shell(str(message))}", file=sys.stderr)

    logger, handler = logging.getLogger("seqdiff"), PlainHandler()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@click.group(
    cls=FriendlyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
    epilog="seqdiff COMMAND --help says more about a command.",
)
@click.version_option(seqdiff.__version__, prog_name="seqdiff")
@click.option("--traceback", is_flag=True, show_default=False, help="Show where an error arose, for a bug report.")
def main(traceback: bool) -> None:
    """Learn DNA, RNA, protein or other sequences from your data and write new ones.

    \b
    A first try, with nothing of your own:
      seqdiff demo
    With your own sequences (one a line, FASTA, or a table):
      seqdiff info promoters.fasta
      seqdiff fit promoters.fasta --network conv --lr 2e-3 --batch-size 128 --epochs 20
      seqdiff generate runs/MultinomialDiffusion 1000 --out samples.fasta
    """


for command in (demo, fit, generate, score, compare, classify, sweep, info):
    main.add_command(command)
