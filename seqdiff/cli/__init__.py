"""The command line: `seqdiff demo | fit | generate | score | compare | classify | sweep | check | evaluate |
design | order | report | info`."""

from seqdiff.cli.app import main

__all__ = ["main"]
