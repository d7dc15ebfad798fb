"""Structure: lists, steps, headings, tables.

``lists`` counts items of any list; ``steps`` counts what is done one after the other: numbered
items that open with a verb of doing, "Step 3", and sentences that open with "first", "then",
"next". A numbered list of capitals is a list and no procedure.
"""

from __future__ import annotations

import re

from gpa_agent.rubrics.traits.answer import Answer, lexicon
from gpa_agent.rubrics.traits.trait import Trait, log_count
from gpa_agent.rubrics.traits.verbs import VERBS

FAMILY = "structure"

_SEQUENCE = lexicon(
    "first, firstly, first of all, to begin with, second, secondly, third, thirdly, then, next",
    "after that, afterwards, once that is, finally, lastly, step one, step two, step three",
)
_STEP_NUMBER = re.compile(r"\bstep \d")
_LEADING_WORD = re.compile(r"[^\W\d_]+")


def _lists(answer: Answer) -> float:
    return log_count(answer.lines.bullets + len(answer.lines.numbered))


def _steps(answer: Answer) -> float:
    leading = (_LEADING_WORD.search(item[:40]) for item in answer.lines.numbered)
    doing = sum(word is not None and word.group().lower() in VERBS for word in leading)
    ordered = sum(answer.opens_with(_SEQUENCE, words) for words in answer.sentences)
    named = len(_STEP_NUMBER.findall(answer.prose)) if "step" in answer.prose else 0
    return log_count(doing + ordered + named)


def _headings(answer: Answer) -> float:
    return log_count(answer.lines.headings)


def _tables(answer: Answer) -> float:
    return log_count(answer.lines.table_rows)


TRAITS = (
    Trait(
        name="lists",
        family=FAMILY,
        definition="How many list items the answer has, bulleted or numbered.",
        unit="log(1 + list items)",
        more="Present the points as a list.",
        less="Write in flowing prose rather than in bullet points or other lists.",
        phrase="bulleted or numbered list items",
        source="Zhang et al. 2024, From lists to emojis: format bias in alignment",
        measure=_lists,
    ),
    Trait(
        name="steps",
        family=FAMILY,
        definition="How many steps of a procedure: numbered items that open with a verb, "
        "'step 3', or sentences that open with 'first', 'then', 'next'.",
        unit="log(1 + steps)",
        more="Lay the procedure out as numbered steps.",
        less="Describe the way as a whole, without breaking it into steps.",
        phrase="steps in order",
        source="Halliday and Hasan 1976, Cohesion in English (temporal conjunction)",
        measure=_steps,
    ),
    Trait(
        name="headings",
        family=FAMILY,
        definition="How many headings the answer has, a bold line of its own included.",
        unit="log(1 + headings)",
        more="Divide the answer under headings.",
        less="Write without headings.",
        phrase="headings",
        measure=_headings,
    ),
    Trait(
        name="tables",
        family=FAMILY,
        definition="How many table rows the answer has.",
        unit="log(1 + table rows)",
        more="Set facts that belong side by side in a table.",
        less="Say in sentences what could stand in a table.",
        phrase="tables",
        measure=_tables,
    ),
)
