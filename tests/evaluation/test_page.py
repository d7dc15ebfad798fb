"""The page: it loads nothing, says what the report says, and draws it where it belongs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from gpa_agent import Workspace
from gpa_agent.evaluation import Audit, audit
from gpa_agent.evaluation.charts import SHARES, differences
from gpa_agent.evaluation.page import as_page
from gpa_agent.evaluation.telling import sections
from tests.evaluation.simulated_serving import Serving, arms

VOID = {"meta", "circle", "line", "polygon", "polyline", "br"}


class Page(HTMLParser):
    """Tags with their attributes, table cells, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data

    def marks(self, kind: str) -> list[tuple[float, float, float]]:
        """(dot, left end, right end) of the marks of a kind, in order."""
        found: list[tuple[float, float, float]] = []
        for n, (tag, attributes) in enumerate(self.tags):
            if tag == "g" and attributes.get("class") == kind:
                rest = self.tags[n + 1 :]
                line = next(a for t, a in rest if t == "line")
                dot = next(a for t, a in rest if t == "circle")
                ends = (dot["cx"], line["x1"], line["x2"])
                found.append(tuple(float(end or "nan") for end in ends))  # type: ignore[arg-type]
        return found


@pytest.fixture
def told(app: Serving, workspace: Workspace) -> Audit:
    app.publish("steps")
    app.serve(1200, arms(0.8, 0.5), own_intent="planning")
    app.serve(100, arms(0.9, 0.2), intent="planning", degraded="retrieve_rubric: KeyError")
    return audit(workspace)


def test_it_loads_nothing_from_anywhere(told: Audit) -> None:
    html = as_page(told)
    page = Page(html)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "a"}
    assert not [a for _, a in page.tags if a.keys() & {"src", "href", "style", "onload"}]
    assert not re.search(r"https?:|//|url\(|@import|@font-face", html)
    policy = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "prefers-color-scheme: dark" in html


def test_its_figures_are_the_reports(told: Audit) -> None:
    page = Page(as_page(told))
    expected = [cell for part in sections(told) for row in part.rows for cell in row]
    assert page.cells == expected
    found = told.overall
    assert found.lift is not None
    assert found.interval is not None
    low, high = found.interval
    assert f"Is it better? Yes: {found.lift:+.2f} [{low:+.2f}, {high:+.2f}]." in page.text
    assert f"{found.tailored.satisfaction:.1%}" in page.cells
    assert f"{found.holdout.satisfaction:.1%}" in page.cells


def test_dots_and_bars_stand_where_their_values_are(told: Audit) -> None:
    page = Page(as_page(told))
    arm, found = told.overall.tailored, told.overall
    assert arm.satisfaction is not None
    assert arm.interval is not None
    assert found.lift is not None
    assert found.interval is not None
    # The axis of shares runs over the 486 units from 250 to 736.
    assert page.marks("tailored")[0] == pytest.approx(
        tuple(250 + 486 * v for v in (arm.satisfaction, *arm.interval)), abs=0.06
    )
    lifts = page.marks("lift")
    assert len(lifts) == sum(
        f.lift is not None
        for f in (told.overall, told.guided, *(s.lift for s in (*told.intents, *told.groups)))
    ) + sum(c.lift.lift is not None for c in told.cells)
    dot, left, right = lifts[0]
    assert (dot - left) / (right - left) == pytest.approx(
        (found.lift - found.interval[0]) / (found.interval[1] - found.interval[0]), abs=0.01
    )
    for mark in (*lifts, *page.marks("tailored"), *page.marks("holdout")):
        assert all(250 <= end <= 736 for end in mark)


def test_axes_are_honest() -> None:
    assert (SHARES.low, SHARES.high) == (0, 1)
    for reach in (0.01, 0.1, 0.37, 0.9, 1.0):
        axis = differences(reach)
        assert axis.high >= reach
        assert axis.low == -axis.high
        assert 0 in axis.ticks
        assert axis.x(0) == pytest.approx((axis.x(axis.low) + axis.x(axis.high)) / 2)


def test_the_course_is_drawn_from_its_points(told: Audit) -> None:
    page = Page(as_page(told))
    (line,) = [a["points"] or "" for t, a in page.tags if t == "polyline"]
    (band,) = [a["points"] or "" for t, a in page.tags if t == "polygon"]
    assert len(line.split()) == len(told.course)
    assert len(band.split()) == 2 * len(told.course)
    across = [float(point.split(",")[0]) for point in line.split()]
    assert across == sorted(across)
    assert across[-1] == 736


def test_names_cannot_become_markup(app: Serving, workspace: Workspace) -> None:
    hostile = "<script src=//x>&\"'<b>"
    app.publish("steps", intent=hostile)
    app.serve(300, arms(0.8, 0.5), intent=hostile, group=hostile, degraded=hostile)
    html = as_page(audit(workspace))
    page = Page(html)
    assert "<script" not in html
    assert "<b>" not in html
    assert f"intent {hostile}" in page.cells
    assert page.open == []


def test_nothing_to_draw_draws_nothing(workspace: Workspace) -> None:
    page = Page(as_page(audit(workspace)))
    assert "svg" not in {tag for tag, _ in page.tags}
    assert "No turn was served" in page.text
