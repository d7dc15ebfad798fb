"""Order: what the answer opens with and what it ends on."""

from __future__ import annotations

from gpa_agent.rubrics.traits.answer import Answer, lexicon
from gpa_agent.rubrics.traits.trait import Trait

FAMILY = "order"

_OPENING = 30
"""Words that count as the opening."""

_SUMMARY = lexicon(
    "in short, short answer, tl dr, tldr, in summary, summary, in brief, in a nutshell",
    "bottom line, key takeaway, in one sentence, the answer is, put simply, simply put, briefly",
)
_VERDICT = lexicon("yes, no, nope, yep, yeah")
_RECAP = lexicon(
    "in summary, in conclusion, to summarize, to summarise, to sum up, overall, in short",
    "ultimately, all in all, to conclude, in the end, key takeaways, the bottom line, bottom line",
    "by following these, with these steps, in essence, summary, conclusion, to recap",
)
_LEAD_IN = lexicon(
    "sure, certainly, of course, absolutely, here is, here's, here are, here're, okay, ok",
    "alright, let's, let us, let me, below is, below are, the following, these are some",
    "there are several, there are many, there are a, in this answer, to answer your",
    "i'd be happy, i would be, i can help, i'm happy to, great question, thank you for",
    "thanks for",
)


def _summary_first(answer: Answer) -> float:
    # Two sentences and thirty words: a greeting may come before the summary.
    read = 0
    for number, words in enumerate(answer.sentences[:3]):
        if read >= _OPENING:
            break
        if answer.opens_with(_SUMMARY, words) or (number == 0 and words[0] in _VERDICT):
            return 1.0
        read += len(words)
    return 0.0


def _summary_last(answer: Answer) -> float:
    sentences = answer.sentences
    tail = sentences[max(1, len(sentences) - 4) :]
    return float(any(answer.opens_with(_RECAP, words) for words in tail))


def _lead_in(answer: Answer) -> float:
    sentences = answer.sentences
    return float(bool(sentences) and answer.opens_with(_LEAD_IN, sentences[0]))


TRAITS = (
    Trait(
        name="summary_first",
        family=FAMILY,
        definition="Whether the opening gives the answer in short: 'In short', 'The answer is', "
        "or a plain yes or no.",
        unit="0 or 1",
        more="Begin with a one-sentence summary, then explain.",
        less="Build up to the result; give no summary at the start.",
        phrase="summaries at the start",
        source="Minto 1987, The pyramid principle",
        measure=_summary_first,
    ),
    Trait(
        name="summary_last",
        family=FAMILY,
        definition="Whether one of the last four sentences opens a recap: 'Overall', 'In "
        "conclusion'.",
        unit="0 or 1",
        more="Close with a recap of the main points.",
        less="End on the last point; leave out a closing recap.",
        phrase="recaps at the end",
        measure=_summary_last,
    ),
    Trait(
        name="lead_in",
        family=FAMILY,
        definition="Whether the answer opens with words that only lead in: 'Sure', 'Here are'.",
        unit="0 or 1",
        more="Open with a sentence that leads into the answer.",
        less="Start with the content itself; drop lead-ins.",
        phrase="lead-ins before the content",
        measure=_lead_in,
    ),
)
