"""The command line: `seqdiff demo | fit | generate | score | compare | info`, also as `python -m seqdiff`."""

from seqdiff.cli.app import main

__all__ = ["main"]
