"""The extra ``finetune``: what is asked of the machine is what the wheel says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from gpa_agent.alignment import deps
from gpa_agent.errors import MissingDependency

ROOT = Path(__file__).parents[2]


def test_the_extra_and_the_check_name_the_same_ranges() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.sub(r"\s", "", line) for line in project["optional-dependencies"][deps.EXTRA]}
    assert extra == {deps.requirement(package) for package in deps.NEEDED}


@pytest.mark.parametrize("found", ["1.15.9", "2.0.0.dev1", None])
def test_another_version_or_none_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name != "trl":
            return real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(MissingDependency, match=r"gpa-agent\[finetune\]"):
        deps.require("tune")


@pytest.mark.parametrize(("hub", "offline"), [("False", "1"), ("True", "None")])
def test_nothing_is_sent_home_and_the_network_is_left_alone(hub: str, offline: str) -> None:
    program = (
        "import os; from gpa_agent.alignment.deps import require; "
        f"require('tune', hub={hub}); "
        "print(os.environ['HF_HUB_DISABLE_TELEMETRY'], os.environ.get('HF_HUB_OFFLINE'))"
    )
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSF"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=clean
    )
    assert done.stdout.split() == ["1", offline]
