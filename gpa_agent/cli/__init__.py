"""The command line: ``gpa``, one module per command.

What a command does is in `gpa_agent.workspace`; the modules here read arguments and print.
Everything heavy is imported inside the commands, so that ``gpa --help`` answers at once.
"""

from __future__ import annotations

import os


def main() -> None:
    """Run ``gpa`` with the arguments of the process."""
    # The matrices here are small: a second BLAS thread gains little on an idle machine, and on a
    # busy one the threads spin waiting for each other and take ten times as long. Numpy reads
    # this when it loads, so it has to be set before anything else.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from gpa_agent.cli.app import app

    app()


__all__ = ["main"]
