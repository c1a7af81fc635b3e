"""`python -m ostiary`."""

from ostiary.cli.entry import main

main()
