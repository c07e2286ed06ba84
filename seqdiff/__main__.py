"""`python -m seqdiff` is the same as `seqdiff`."""

from seqdiff.cli import main

if __name__ == "__main__":
    main(prog_name="seqdiff")
