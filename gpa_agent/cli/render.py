"""Rubrics on a terminal: a rating bar per aspect, its evidence, its guidance.

Names and texts that may come from a log are printed as plain text, without control characters
and without markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpa_agent.cli.running import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from gpa_agent.rubrics.records import Aspect, ContrastModel, Rubric

NO_DIFFERENCE = "no provable difference"


def bar(rating: int) -> str:
    """A rating of 1 to 5 as a bar.

    Example:
        >>> bar(4)
        '████░ 4/5'
    """
    return f"{'█' * rating}{'░' * (5 - rating)} {rating}/5"


def title(rubric: Rubric) -> str:
    """One line that says which rubric this is."""
    version = f"version {rubric.version}" if rubric.version else "never live"
    return printable(f"{rubric.intent}: {versus(rubric.contrast)} ({version})")


def versus(contrast: ContrastModel) -> str:
    """A contrast in words."""
    from gpa_agent.rubrics.records import Contrast

    return printable(str(Contrast(contrast.group, contrast.other)))


def print_rubric(
    console: Console, rubric: Rubric, *, statuses: Iterable[str] = ("live", "approved")
) -> None:
    """Print a rubric, or plainly that there is nothing in it.

    Args:
        console: Where to.
        rubric: What.
        statuses: Which aspects.
    """
    wanted = set(statuses)
    shown = [a for a in rubric.aspects if a.status in wanted]
    console.print(title(rubric), style="bold")
    if not shown:
        console.print(f"  {NO_DIFFERENCE}: everybody gets the plain answer\n")
        return
    console.print(_table(rubric, shown))
    for aspect in shown:
        _print_words(console, aspect)
    console.print()


def _table(rubric: Rubric, aspects: list[Aspect]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sides = f"{rubric.contrast.group}/{rubric.contrast.other}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("aspect", "divergence", "effect [95%]", "q", "people", "turns", "status"):
        table.add_column(heading, no_wrap=heading != "aspect")
    for aspect in aspects:
        cells = (aspect.name, bar(aspect.rating), *_evidence(rubric, aspect), aspect.status)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    table.caption = Text(f"people and turns: {printable(sides)}", style="dim")
    table.caption_justify = "left"
    return table


def _evidence(rubric: Rubric, aspect: Aspect) -> tuple[str, str, str, str]:
    if aspect.evidence is None:
        return ("hand-written, no evidence", "", "", "")
    e = aspect.evidence
    low, high = e.interval
    return (
        f"{e.effect:+.2f} [{low:+.2f}, {high:+.2f}]",
        f"{e.q_value:.4f}",
        _sides(rubric, e.people),
        _sides(rubric, e.turns),
    )


def _sides(rubric: Rubric, counts: Mapping[str, int]) -> str:
    return "/".join(
        str(counts.get(side, 0)) for side in (rubric.contrast.group, rubric.contrast.other)
    )


def _print_words(console: Console, aspect: Aspect) -> None:
    from rich.padding import Padding
    from rich.text import Text

    def indented(text: str, by: int) -> None:
        console.print(Padding(Text(printable(text)), (0, 0, 0, by)))

    indented(f"{aspect.name}: {aspect.interpretation}", 2)
    if aspect.reason:
        indented(f"not live: {aspect.reason}", 4)
    for group, guidance in aspect.guidance.items():
        indented(f"{group} → {guidance}", 4)
