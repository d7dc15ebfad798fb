from __future__ import annotations

import subprocess
import sys

import gpa_agent.alignment


def test_every_name_is_there_and_none_is_loaded_before() -> None:
    for name in gpa_agent.alignment.__all__:
        assert getattr(gpa_agent.alignment, name).__name__ == name
    assert sorted(gpa_agent.alignment.__all__) == gpa_agent.alignment.__all__
    assert dir(gpa_agent.alignment) == gpa_agent.alignment.__all__


def test_the_names_load_no_torch() -> None:
    code = (
        "import sys, gpa_agent.alignment as a; [getattr(a, n) for n in a.__all__]; "
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & sys.modules.keys()))"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "[]\n"
