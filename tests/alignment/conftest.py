"""The miniature base model, trained once for all tests that want a real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from gpa_agent.testing.miniature.base import make_base


@pytest.fixture(scope="session")
def miniature_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trained miniature; nobody writes into it."""
    return trained_once(tmp_path_factory)


def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train it, or take what another worker of the same test run trained."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "miniature-base"
    # The lock is released when a worker dies, and what it left unfinished has no name yet.
    with FileLock(shared / "miniature-base.lock", timeout=-1):
        if not folder.exists():
            make_base(folder.with_suffix(".new")).rename(folder)
    return folder
