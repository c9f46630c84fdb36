"""Runs the command line by `python -m opsloop`."""

import sys

from opsloop.entry.cli.commands import main

sys.exit(main())
