"""Ours pass langchain-tests' suites wherever the chat model inside passes them."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SNAPSHOT_ONLY = {"test_serdes"}
"""Compares ChatOpenAI with a stored snapshot that only its own repository has."""


def outcomes(report: Path) -> dict[str, dict[str, str]]:
    """Outcome by class and test of a JUnit report."""
    found: dict[str, dict[str, str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        name = case.attrib["classname"].rsplit(".", 1)[-1]
        found.setdefault(name, {})[case.attrib["name"]] = kinds.pop() if kinds else "passed"
    return found


@pytest.mark.slow
def test_same_outcomes_as_the_model_inside(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            str(HERE / "standard_suites.py"),
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "filterwarnings=default",
            "--benchmark-disable",
            f"--junitxml={report}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=240,
        check=False,  # what ChatOpenAI itself fails is no failure of ours
        capture_output=True,
    )
    seen = outcomes(report)
    for kind, least in (("Unit", 6), ("Integration", 35)):
        inner, ours = seen[f"Test{kind}Inner"], seen[f"Test{kind}Ours"]
        assert inner.keys() == ours.keys()
        passed = {name for name, outcome in inner.items() if outcome == "passed"}
        assert len(passed) >= least  # the comparison compares something
        assert {n: ours[n] for n in passed - SNAPSHOT_ONLY if ours[n] != "passed"} == {}
        failed = {n for n, outcome in inner.items() if outcome in {"failure", "error"}}
        assert failed <= SNAPSHOT_ONLY
