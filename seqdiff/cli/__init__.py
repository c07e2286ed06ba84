"""The command line: `seqdiff demo | fit | generate | score | compare | classify | info` (or `python -m seqdiff`)."""

from seqdiff.cli.app import main

__all__ = ["main"]
