"""Signals of text that has fallen apart."""

from __future__ import annotations

import numpy as np
import pytest

from gpa_agent.alignment.gating.coherence import Floor, Signals, loops

ANSWER = """To read a file, open it first.

| name | what it is |
|------|------------|
| open | opens      |

```python
for row in rows:
    print(row)
    print(row)
    print(row)
```
----------------------------------------------------------------
1. Open the file. 2. Read the file. 3. Close the file."""


@pytest.mark.parametrize(
    "text",
    [
        "Open it " + "and the and the " * 8,
        "a" * 60,
        "开始读文件。" * 12,
        "First, open the file, then read the file, and close it again. " * 4,
        "Fine so far. " + "the" * 20 + " and then it goes on as if nothing had happened.",
    ],
)
def test_a_text_that_repeats_a_piece_in_a_row_loops(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        ANSWER,
        "No, no, no, no! Ha ha ha ha.",
        "-" * 300,
        "\n" * 300,
        "First, open the file, then read the file, and close it again. " * 3,
    ],
)
def test_tables_rules_code_and_emphasis_are_no_loops(text: str) -> None:
    assert not loops(text)


def test_the_floor_lies_below_what_is_acceptable() -> None:
    base, chosen = -np.linspace(0, 1, 101), -np.linspace(0, 2, 101)

    # 5% of the base's are below -0.95, of the chosen below -1.9; half as much again is -2.85.
    floor = Floor.of(base, chosen, vocabulary=1000)

    assert floor.worst == pytest.approx(-2.85)
    assert floor.above(np.array([-2.8, -2.9, np.nan])).tolist() == [True, False, False]
    assert floor.above(chosen).all()


def test_less_likely_than_tokens_picked_blindly_is_below_any_floor() -> None:
    # log(1000) = 6.9
    assert Floor.of(np.array([-8.0]), vocabulary=1000).worst == pytest.approx(-6.9078, abs=1e-4)


def test_every_sign_alone_makes_an_answer_incoherent() -> None:
    signals = Signals.of(
        ["fine", "the " * 20, "fine", "fine", "fine"],
        ended=[True, True, True, True, False],
        worst=np.array([-1.0, -1.0, -9.0, -1.0, -1.0]),
        floor=Floor(worst=-2.0),
        checked=np.array([True, True, True, False, True]),
    )

    # Not to have ended is told of all answers together.
    assert signals.coherent.tolist() == [True, False, False, False, True]
