from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.graphs.server import Studio, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A server with all our graphs."""
    with serving(tmp_path_factory.mktemp("studio"), graphs=("turn", "agent", "learn")) as running:
        yield running
