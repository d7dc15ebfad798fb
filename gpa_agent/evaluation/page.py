"""The audit as one HTML page that opens without a network and loads nothing.

Every text is escaped, also our own: names of intents, groups and aspects come from logs and models.
The page's own policy forbids scripts and anything from elsewhere, should something slip through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from gpa_agent.evaluation.audit import Audit
from gpa_agent.evaluation.charts import SHARES, Mark, Row, course, differences, intervals
from gpa_agent.evaluation.telling import Section, moment, period, sections, slices

_STYLE = """
:root { color-scheme: light dark; --ink: #1a202c; --faint: #5a6472; --paper: #ffffff;
  --rule: #d9dee5; --zero: #5a6472; --tailored: #2b6cb0; --holdout: #8a94a3; --band: #2b6cb033; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --faint: #9aa5b4; --paper: #14181f;
  --rule: #303742; --zero: #9aa5b4; --tailored: #63b3ed; --holdout: #8a94a3; --band: #63b3ed33; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--rule); }
p { margin: .4rem 0; } .faint, footer { color: var(--faint); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; min-width: 3rem; }
th { color: var(--faint); font-weight: 500; }
svg { width: 100%; height: auto; display: block; margin: .6rem 0; font-size: 12px; }
svg text { fill: var(--ink); } svg text.faint { fill: var(--faint); }
svg .grid { stroke: var(--rule); } svg .zero { stroke: var(--zero); }
svg g line { stroke-width: 2; }
svg .tailored line, svg .lift line { stroke: var(--tailored); }
svg .tailored circle, svg .lift circle { fill: var(--tailored); }
svg .holdout line { stroke: var(--holdout); } svg .holdout circle { fill: var(--holdout); }
svg .band { fill: var(--band); } svg .line { fill: none; stroke: var(--tailored); stroke-width: 2; }
.key::before { content: ""; display: inline-block; width: .7em; height: .7em; border-radius: 50%;
  margin-right: .4em; background: var(--tailored); }
.key.held::before { background: var(--holdout); }
.key { margin-right: 1.2em; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_page(told: Audit) -> str:
    """The whole report as HTML.

    Args:
        told: The audit.
    """
    body = "\n".join(part for section in sections(told) for part in _section(section, told))
    notes = "".join(f"<p><strong>{escape(note)}</strong></p>" for note in told.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>gpa audit, {escape(moment(told.at))}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>Is it better?</h1><p class="faint">{escape(period(told))}</p>{notes}\n{body}\n'
        f"<footer><p>Made by gpa audit, {escape(moment(told.at))}.</p></footer></body></html>\n"
    )


def _section(section: Section, told: Audit) -> Iterator[str]:
    yield f'<section id="{section.name}"><h2>{escape(section.title)}</h2>'
    yield from (f"<p>{escape(said)}</p>" for said in section.says)
    if section.name == "lift":
        yield from _lift_charts(told)
    if section.name == "satisfaction":
        yield from _satisfaction_chart(told)
    if section.rows:
        yield _table(section.columns, section.rows)
    yield "</section>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _lift_charts(told: Audit) -> Iterator[str]:
    rows = [
        Row(name, (Mark("lift", found.lift, found.interval),))
        for name, found in slices(told)
        if found.lift is not None and found.interval is not None
    ]
    if rows:
        reach = max(abs(end) for row in rows for mark in row.marks for end in mark.interval)
        title = "Lift with 95% intervals; right of 0 the tailored are more pleased"
        yield intervals(title, rows, differences(reach))
    if len(told.course) > 1:
        yield "<p>The lift over all turns, as it stood when so many were judged:</p>"
        yield course("Lift as turns came in, with its 95% interval", told.course)


def _satisfaction_chart(told: Audit) -> Iterator[str]:
    rows = [
        Row(
            name,
            tuple(
                Mark(kind, arm.satisfaction, arm.interval)
                for kind, arm in (("tailored", found.tailored), ("holdout", found.holdout))
                if arm.satisfaction is not None and arm.interval is not None
            ),
        )
        for name, found in slices(told)
    ]
    if any(row.marks for row in rows):
        yield '<p><span class="key">tailored</span><span class="key held">held out</span></p>'
        yield intervals("Share of judged turns that pleased, with 95% intervals", rows, SHARES)
