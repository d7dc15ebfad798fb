"""Make pairs in a process of its own, to be killed: python -m tests.alignment.run_pairs FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from gpa_agent.alignment.pairs.making import make_pairs
from tests.alignment.pairs_support import open_workspace


def main(folder: Path) -> None:
    """Make the pairs of a workspace whose model is named by its settings."""
    with open_workspace(folder) as ws:
        make_pairs(ws)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
