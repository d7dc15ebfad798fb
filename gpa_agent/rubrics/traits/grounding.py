"""Grounding: figures, quotations, references to sources, links."""

from __future__ import annotations

import re

from gpa_agent.rubrics.traits.answer import Answer, lexicon
from gpa_agent.rubrics.traits.trait import LOG_RATE, Trait, log_count, rate

FAMILY = "grounding"

_SOURCES = lexicon(
    "according to, study, studies, research, researchers, survey, surveys, et al, scholars",
    "experts, scientists, published, the journal, reported by, statistics, data from, cited",
    "evidence, literature, findings, historians, meta analysis",
)
_REFERENCE = re.compile(r"\[\d{1,3}\]|\([^()\d]{0,60}(?:19|20)\d\d\)")
_LINK = re.compile(r"(?:https?://|www\.)\S+")


def _numbers(answer: Answer) -> float:
    return rate(sum(word[0].isdecimal() for word in answer.words), answer)


def _quotes(answer: Answer) -> float:
    text = answer.prose
    spans = text.count('"') // 2 + text.count("\u201c") + text.count("\u00ab")
    return log_count(spans + answer.lines.quoted)


def _citations(answer: Answer) -> float:
    return rate(answer.count(_SOURCES) + len(_REFERENCE.findall(answer.prose)), answer)


def _links(answer: Answer) -> float:
    text = answer.marked
    return log_count(len(_LINK.findall(text))) if "://" in text or "www." in text else 0.0


TRAITS = (
    Trait(
        name="numbers",
        family=FAMILY,
        definition="How many numbers in digits the prose has, list numbers left out.",
        unit=LOG_RATE,
        more="Give figures: amounts, dates, measurements.",
        less="Describe amounts in words and leave out figures.",
        phrase="figures",
        measure=_numbers,
    ),
    Trait(
        name="quotes",
        family=FAMILY,
        definition="How many passages stand in quotation marks or in a block quote.",
        unit="log(1 + quoted passages)",
        more="Quote the words that matter.",
        less="Put everything in your own words; avoid quotation marks.",
        phrase="quoted words",
        measure=_quotes,
    ),
    Trait(
        name="citations",
        family=FAMILY,
        definition="How often the answer refers to studies, experts or other sources.",
        unit=LOG_RATE,
        more="Say where a claim comes from, and name only sources that exist.",
        less="State the matter itself; leave out mentions of studies and experts.",
        phrase="references to sources",
        source="Hyland 2005, Metadiscourse (evidentials)",
        measure=_citations,
    ),
    Trait(
        name="links",
        family=FAMILY,
        definition="How many web addresses the answer has.",
        unit="log(1 + addresses)",
        more="Point to web pages worth reading, and only to pages that exist.",
        less="Leave out web addresses.",
        phrase="links",
        source="Zhang et al. 2024, From lists to emojis: format bias in alignment",
        measure=_links,
    ),
)
