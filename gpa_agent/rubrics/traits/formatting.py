"""Formatting: bold type, code in blocks and in the line, emoji."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpa_agent.rubrics.traits.trait import Trait, log_count

if TYPE_CHECKING:
    from gpa_agent.rubrics.traits.answer import Answer

FAMILY = "formatting"

_EMOJI = re.compile("[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55]")


def _bold(answer: Answer) -> float:
    return log_count(answer.marked.count("**") // 2)


def _code_blocks(answer: Answer) -> float:
    return log_count(answer.lines.code_lines)


def _inline_code(answer: Answer) -> float:
    return log_count(answer.marked.count("`") // 2)


def _emoji(answer: Answer) -> float:
    return 0.0 if answer.text.isascii() else log_count(len(_EMOJI.findall(answer.marked)))


TRAITS = (
    Trait(
        name="bold",
        family=FAMILY,
        definition="How many passages are in bold type.",
        unit="log(1 + bold passages)",
        more="Set key terms in bold type.",
        less="Leave text unemphasised; use no bold type.",
        phrase="words in bold type",
        source="Zhang et al. 2024, From lists to emojis: format bias in alignment",
        measure=_bold,
    ),
    Trait(
        name="code_blocks",
        family=FAMILY,
        definition="How many lines of fenced code the answer has.",
        unit="log(1 + lines of code)",
        more="Show code in a fenced block wherever code helps.",
        less="Explain in words; leave out code blocks.",
        phrase="lines of code",
        measure=_code_blocks,
    ),
    Trait(
        name="inline_code",
        family=FAMILY,
        definition="How many passages stand in backticks within a line.",
        unit="log(1 + passages in backticks)",
        more="Set names of commands, files and functions in backticks.",
        less="Write names of commands and files as ordinary text, without backticks.",
        phrase="names set in backticks",
        measure=_inline_code,
    ),
    Trait(
        name="emoji",
        family=FAMILY,
        definition="How many emoji the answer has.",
        unit="log(1 + emoji)",
        more="Use a fitting emoji now and then.",
        less="Use no emoji.",
        phrase="emoji",
        source="Zhang et al. 2024, From lists to emojis: format bias in alignment",
        measure=_emoji,
    ),
)
