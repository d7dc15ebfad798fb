"""Contrastive pairs of what a ledger holds: Algorithm 4, from judged turns to files.

Judged turns are read, those that can make a pair are picked, a chat model writes their twins
through the call ledger (nothing is asked twice, whatever stops a run), unusable twins are sifted
out, and each group's pairs are written to a file of their own, split by person. Preference pairs
of the log join as they are. The report accounts for everything that was looked at.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpa_agent.alignment.pair import Pair, folder_name, write_pairs
from gpa_agent.alignment.pairs.config import PairsConfig
from gpa_agent.alignment.pairs.gathering import Gathered, gather
from gpa_agent.alignment.pairs.lengths import Lengths, balanced
from gpa_agent.alignment.pairs.report import GroupPairs, PairsReport, counted, group_pairs
from gpa_agent.alignment.pairs.twins import ask_for
from gpa_agent.alignment.pairs.writing import Twins, write_twins
from gpa_agent.calls.messages import Usage
from gpa_agent.calls.prices import price_of
from gpa_agent.calls.tokens import finished, length, token_rates
from gpa_agent.errors import UsageError
from gpa_agent.files import write_whole
from gpa_agent.learning.estimate import Estimate, PromptEstimate
from gpa_agent.learning.forgetting import LEARNING, PAIRS
from gpa_agent.learning.spending import Spend, open_engine
from gpa_agent.models import model_name

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from gpa_agent.learning.stages import Progress
    from gpa_agent.ledger import Ledger
    from gpa_agent.settings import Settings
    from gpa_agent.workspace import Workspace

__all__ = ["PairsConfig", "PairsReport", "estimate_pairs", "make_pairs", "pairs_file"]

_UNBALANCED: Final = 0.25
"""Imbalance of lengths from which on the report warns."""


def _silent(stage: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


def pairs_file(ws: Workspace, group: str) -> Path:
    """Where a group's pairs are.

    Args:
        ws: The workspace.
        group: The group's name.
    """
    return ws.path / PAIRS / f"{folder_name(group)}.jsonl"


def make_pairs(
    ws: Workspace,
    *,
    config: PairsConfig | None = None,
    spend: Spend | None = None,
    model: BaseChatModel | None = None,
    wait_seconds: float = 30.0,
    progress: Progress = _silent,
) -> PairsReport:
    """Make every group's pairs and write them into the workspace.

    Example:
        ```python
        with Workspace.open("my.gpa", model="openai:gpt-4o-mini", store=False) as ws:
            report = make_pairs(ws, spend=Spend(max_cost=5.0))
        report.groups["novice"].train
        ```

    Args:
        ws: A workspace that has learned.
        config: Which turns, and how; the defaults where None.
        spend: What the twins may cost; no limits where None.
        model: The chat model that writes them; by default the one the workspace was opened with,
            or the settings name. Without any, only preference pairs of the log are written.
        wait_seconds: How long to wait for another process that learns here.
        progress: Called with (stage, done, total).

    Returns:
        What was made, and what became of the rest.

    Raises:
        UsageError: There is nothing to make pairs of, or a group is not known.
        Busy: Another process still learns after that time.
        ModelError: The model's provider is down, refuses, or a limit of ``spend`` is reached;
            every twin that came is kept, the files are as they were, and the next run goes on.
        StoreError: The ledger or a file cannot be read or written.
    """
    started, chosen, model = time.perf_counter(), config or PairsConfig(), model or ws.chat_model
    settings = _with_model(ws.settings, model)
    # Forgetting waits for the lock, so that nobody comes back with a twin that is under way.
    with ws.ledger.exclusive(LEARNING, wait_seconds=wait_seconds):
        gathered = gather(ws, chosen)
        twins = _twins(ws.ledger, settings, model, gathered, chosen, spend or Spend(), progress)
        skipped = gathered.skipped + _left(gathered, settings)
        kept = _kept([*gathered.pairs, *twins.pairs], ws.ledger, chosen, skipped)
        groups = _written(ws, kept, chosen)
        report = PairsReport(
            pairs=len(kept),
            groups=groups,
            judged=gathered.judged,
            recorded=gathered.recorded,
            skipped=counted(skipped),
            sifted=counted(twins.sifted),
            calls=twins.model.calls if twins.model else 0,
            model=twins.model,
            notes=_notes(groups, skipped, twins),
            seconds=time.perf_counter() - started,
        )
        write_whole(ws.path / PAIRS / "report.json", report.model_dump_json(indent=2).encode())
    return report


def estimate_pairs(
    ws: Workspace, *, config: PairsConfig | None = None, model: BaseChatModel | None = None
) -> Estimate | None:
    """What the twins will come to at most; nobody is asked and nothing is written.

    Args:
        ws: A workspace that has learned.
        config: As for `make_pairs`.
        model: As for `make_pairs`.

    Returns:
        Calls, tokens and cost; None where no model is configured.

    Raises:
        UsageError: As for `make_pairs`.
        StoreError: The ledger cannot be read.
    """
    name = _with_model(ws.settings, model or ws.chat_model).model
    candidates = gather(ws, config or PairsConfig()).candidates
    if name is None:
        return None
    # The same text asked twice is one call; a twin is about as long as the answer it belongs to.
    asks = {ask_for(one)._replace(subject=None): len(one.turn.answer) for one in candidates}
    rates = token_rates(ws.ledger, name, finished(ws.ledger, name))
    sent = round(rates.input_tokens(sum(map(length, asks))))
    said = round(rates.input_tokens(sum(asks.values())))
    price = ws.settings.price or price_of(name)
    expected = PromptEstimate(calls=len(asks), input_tokens=sent, output_tokens=said)
    return Estimate(
        **dict(expected),
        by_prompt={"twin": expected},
        cost=price.cost(Usage(sent, said)) if price else None,
        basis="Twins that the ledger holds already are free and not taken off. Each is taken to be "
        f"as long as the answer it belongs to; {rates.chars_per_token:.1f} characters are a token. "
        "One that cannot be read is asked for once more: that comes on top, as do repeated tries.",
    )


def _with_model(settings: Settings, model: BaseChatModel | None) -> Settings:
    return settings if model is None else settings.model_copy(update={"model": model_name(model)})


def _twins(
    ledger: Ledger,
    settings: Settings,
    model: BaseChatModel | None,
    gathered: Gathered,
    config: PairsConfig,
    spend: Spend,
    progress: Progress,
) -> Twins:
    """Twins of all that need one, where there is somebody to write them."""
    if not gathered.candidates:
        return Twins()
    if settings.model is None:
        if gathered.pairs:
            return Twins()
        raise UsageError(
            f"no chat model is configured to write the twins of {len(gathered.candidates)} judged "
            "answers: name one with --model openai:NAME"
        )
    opened = open_engine(settings, ledger, model, spend)
    return write_twins(gathered, opened, settings.model, config, progress)


def _left(gathered: Gathered, settings: Settings) -> Counter[str]:
    return Counter(no_model=len(gathered.candidates) if settings.model is None else 0)


def _kept(
    pairs: Sequence[Pair], ledger: Ledger, config: PairsConfig, skipped: Counter[str]
) -> list[Pair]:
    """The pairs that are written, by group and subject; what is left out is counted."""
    gone = ledger.gone([pair.subject for pair in pairs])
    here = [pair for pair in pairs if pair.subject not in gone]
    kept = [pair for of_group in _by_group(here).values() for pair in _even(of_group, config)]
    skipped["forgotten"] += len(pairs) - len(here)
    skipped["unbalanced"] += len(here) - len(kept)
    return kept


def _even(pairs: Sequence[Pair], config: PairsConfig) -> list[Pair]:
    """Pairs with their lengths balanced where that is asked for; who is held out stays."""
    if config.balance_lengths is None:
        return list(pairs)
    train = balanced([p for p in pairs if p.split == "train"], config.balance_lengths)
    stay = {pair.subject for pair in train}
    return [pair for pair in pairs if pair.split == "holdout" or pair.subject in stay]


def _by_group(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    groups: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: (pair.group, pair.subject)):
        groups[pair.group].append(pair)
    return groups


def _written(ws: Workspace, pairs: Sequence[Pair], config: PairsConfig) -> dict[str, GroupPairs]:
    """Write each group's file, and take away those of an earlier run that nothing came of now."""
    groups = _by_group(pairs)
    figures: dict[str, GroupPairs] = {}
    for group, of_group in groups.items():
        path = pairs_file(ws, group)
        write_pairs(path, of_group)
        figures[group] = group_pairs(of_group, str(path))
    _take_away(ws, {pairs_file(ws, group) for group in groups}, config)
    return figures


def _take_away(ws: Workspace, written: set[Path], config: PairsConfig) -> None:
    asked = {pairs_file(ws, group) for group in config.groups}
    for path in (ws.path / PAIRS).glob("*.jsonl"):
        if path not in written and (not asked or path in asked):
            path.unlink()


def _notes(groups: Mapping[str, GroupPairs], skipped: Counter[str], twins: Twins) -> list[str]:
    """What a reader of the report should know."""
    notes: list[str] = []
    if not groups:
        notes.append("no pair came of it: the counts say why")
    if len(groups) == 1:
        notes.append(
            f"pairs of one group only ({next(iter(groups))!r}): its model cannot be held against "
            "another group's"
        )
    if skipped["no_model"]:
        notes.append(
            f"no chat model is configured: {skipped['no_model']} judged answers have no twin; name "
            "one with --model openai:NAME"
        )
    if twins.sifted["failed"]:
        notes.append(f"{twins.sifted['failed']} twins were given up; the next run asks again")
    unequal = ((group, figures.lengths) for group, figures in groups.items() if figures.lengths)
    notes += [_imbalance(*one) for one in unequal if abs(one[1].imbalance) >= _UNBALANCED]
    return notes


def _imbalance(group: str, lengths: Lengths) -> str:
    return (
        f"{group!r}: chosen answers have {lengths.chosen:.0f} words, rejected ones "
        f"{lengths.rejected:.0f}, and a model learns length first; where length is not what the "
        "group wishes: --balance-lengths 0.1"
    )
