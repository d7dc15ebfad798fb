"""The gate: an adapter serves only if it is better than the base for its own group.

On held-out prompts, of people nothing was trained on, base and adapter answer with the same
random numbers. The adapter must win for its own group (a judge compares, an incoherent answer
loses), must not win for the other groups (else it learned something else), and must stay what
the base is: coherent, ending, of like length, with the chosen answers no less likely. Training's
own figures are not asked: accuracy 1.0 and a growing margin go together with gibberish.

The chosen log-probability that falls is the sign of likelihood displacement (Razin et al. 2024,
https://arxiv.org/abs/2410.08847).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpa_agent.alignment.gating.coherence import Floor, Signals
from gpa_agent.alignment.gating.generating import (
    Generated,
    Likelihood,
    Model,
    Tokenizer,
    as_found,
    generate,
    likelihoods,
)
from gpa_agent.alignment.gating.judging import (
    Asked,
    Judge,
    margin_of,
    named,
    scores,
    verdicts_of,
)
from gpa_agent.alignment.gating.verdict import (
    Checkpoint,
    Compared,
    GateConfig,
    Measured,
    Taxed,
    Verdict,
    compare,
    decide,
    error_at,
    person_estimate,
    too_few,
    too_often,
)
from gpa_agent.alignment.pair import Pair
from gpa_agent.errors import UsageError

__all__ = ["Gate", "GateConfig", "Tax", "Taxed", "Verdict", "load_taxes"]

Floats = NDArray[np.float64]

Tax = Callable[[Model, Tokenizer], Taxed]
"""A check of general abilities: takes the model, with the adapter active, and the tokenizer."""


def load_taxes(specs: Sequence[str]) -> tuple[Tax, ...]:
    """The checks of general abilities that a setting names.

    Args:
        specs: ``package.module:attribute`` of a function, or of a class of checks; imported and
            run, so it must come from the operator alone.

    Raises:
        UsageError: There is nothing of that name, or it cannot be called.
    """
    taxes = {spec: named(spec, "check of abilities", is_one=callable) for spec in specs}
    for spec, tax in taxes.items():
        if not callable(tax):
            raise UsageError(f"{spec!r} is no check of abilities: it is called (model, tokenizer)")
    return tuple(taxes.values())


class Gate:
    """Examines adapters over one base.

    The base's own answers are made here, while nothing is attached to it, and serve every
    examination.

    Args:
        base_model: The bare base; it is not kept.
        tokenizer: Its tokenizer, with a chat template.
        held_out: Pairs of each group that is examined, of people nothing was trained on.
        judge: Who compares; where it checks coherence too, its check counts.
        config: Thresholds and sampling.
        groups: All groups there are: an adapter must not win for another one's rubric. Those of
            ``held_out`` where None.
        taxes: Checks of general abilities beside; whatever one of them minds refuses.
        looks: How often each group's held-out people were looked at before; 0 where not named.
    """

    def __init__(
        self,
        base_model: Model,
        tokenizer: Tokenizer,
        *,
        held_out: Mapping[str, Sequence[Pair]],
        judge: Judge,
        config: GateConfig | None = None,
        groups: Collection[str] | None = None,
        taxes: Sequence[Tax] = (),
        looks: Mapping[str, int] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._judge = judge
        self._config = config or GateConfig()
        self._groups = tuple(held_out if groups is None else groups)
        self._taxes = tuple(taxes)
        self._refusals: dict[str, str] = {}
        self._benches: dict[str, _Bench] = {}
        self._looks = dict(looks or {})
        for group, pairs in held_out.items():
            people = len({pair.owner for pair in pairs})
            refusal = too_few(group, people, len(pairs), self._config)
            if refusal is None:
                self._benches[group] = self._bench(base_model, _evenly(pairs, self._config))
            else:
                self._refusals[group] = refusal

    def looks(self, group: str) -> int:
        """How often a group's held-out people were looked at, before and here."""
        return self._looks.get(group, 0)

    def examine(self, model: Model, group: str, *, checkpoint: Checkpoint = "final") -> Verdict:
        """Say whether an adapter may serve its group.

        Every further look at a group makes it harder to pass, as its people are the same; from
        some look on it is refused unseen.

        Args:
            model: The base with the candidate adapter attached and active (a ``PeftModel``).
            group: Whose adapter it is.
            checkpoint: Which of its weights these are, for the verdict.

        Returns:
            The verdict; a collapsed model is refused, it raises nothing.

        Raises:
            ModelError: The judge does not answer as a judge must.
        """
        bench = self._benches.get(group)
        if bench is None:
            reason = self._refusals.get(group) or too_few(group, 0, 0, self._config)
            return Verdict(passed=False, reasons=(str(reason),), checkpoint=checkpoint)
        if worn := too_often(group, self.looks(group), self._config):
            return Verdict(passed=False, reasons=(worn,), checkpoint=checkpoint)
        self._looks[group] = self.looks(group) + 1
        return decide(self._measure(model, group, bench), self._config, checkpoint=checkpoint)

    def _bench(self, base: Model, pairs: Sequence[Pair]) -> _Bench:
        rows = [pair for pair in pairs for _ in range(self._config.samples)]
        asked = [Asked(pair.prompt, pair.intent) for pair in rows]
        answers = self._answers(base, pairs)
        chosen = _likelihoods_of_chosen(base, self._tokenizer, pairs, self._config)
        worst = self._worst(base, asked, answers)
        floor = Floor.of(
            worst, np.array([found.worst for found in chosen]), vocabulary=len(self._tokenizer)
        )
        return _Bench(
            pairs=tuple(pairs),
            asked=tuple(asked),
            person=_numbered([pair.owner for pair in rows]),
            pair_person=_numbered([pair.owner for pair in pairs]),
            answers=tuple(answers),
            signals=self._signals(asked, answers, worst, floor),
            floor=floor,
            chosen=tuple(chosen),
        )

    def _measure(self, model: Model, group: str, bench: _Bench) -> Measured:
        answers = self._answers(model, bench.pairs)
        with as_found(model), model.disable_adapter():  # PEFT turns gradients on when it is over
            worst = self._worst(model, bench.asked, answers)
        signals = self._signals(bench.asked, answers, worst, bench.floor)
        chosen = _likelihoods_of_chosen(model, self._tokenizer, bench.pairs, self._config)
        rise = np.array([a.total - b.total for a, b in zip(chosen, bench.chosen, strict=True)])
        error = error_at(self.looks(group), self._config)
        own = self._compare(group, bench, answers, signals, error=error)
        # Never a wider interval for these: it would make it easier not to win clearly.
        others = {
            name: self._compare(name, bench, answers, signals, error=self._config.error)
            for name in self._groups
            if name != group
        }
        return Measured(
            group=group,
            people=int(bench.person.max()) + 1,
            prompts=len(bench.pairs),
            own=own,
            others=others,
            signals=signals,
            base_signals=bench.signals,
            rise=person_estimate(
                rise, bench.pair_person, error=self._config.error, seed=self._config.seed
            ),
            tokens=_mean_tokens(answers),
            base_tokens=_mean_tokens(bench.answers),
            # An answer's end counts for its likelihood, not for its length.
            chosen_tokens=float(np.mean([found.tokens - 1 for found in bench.chosen])),
            max_new_tokens=self._config.max_new_tokens,
            taxed=_all_taxes(self._taxes, model, self._tokenizer),
        )

    def _answers(self, model: Model, pairs: Sequence[Pair]) -> list[Generated]:
        config = self._config
        made = generate(
            model,
            self._tokenizer,
            [pair.prompt for pair in pairs],
            samples=config.samples,
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            seed=config.seed,
            batch_size=config.batch_size,
        )
        return [answer for samples in made for answer in samples]

    def _worst(self, base: Model, asked: Sequence[Asked], answers: Sequence[Generated]) -> Floats:
        found = likelihoods(
            base,
            self._tokenizer,
            [what.prompt for what in asked],
            # Nobody sees a blank line at the end, but the base finds it most unlikely.
            [answer.text.rstrip() for answer in answers],
            batch_size=self._config.batch_size,
        )
        return np.array([likelihood.worst for likelihood in found])

    def _signals(
        self, asked: Sequence[Asked], answers: Sequence[Generated], worst: Floats, floor: Floor
    ) -> Signals:
        texts = [answer.text for answer in answers]
        return Signals.of(
            texts,
            ended=[answer.ended for answer in answers],
            worst=worst,
            floor=floor,
            checked=verdicts_of(self._judge, asked, texts),
        )

    def _compare(
        self,
        group: str,
        bench: _Bench,
        answers: Sequence[Generated],
        signals: Signals,
        *,
        error: float,
    ) -> Compared:
        mine, bases = (
            scores(self._judge, bench.asked, [answer.text for answer in given], group)
            for given in (answers, bench.answers)
        )
        return compare(
            mine,
            bases,
            signals.coherent,
            bench.person,
            margin=margin_of(self._judge),
            error=error,
            seed=self._config.seed,
        )


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """What the base did with a group's held-out pairs; n rows are m pairs times the samples."""

    pairs: tuple[Pair, ...]
    asked: tuple[Asked, ...]
    person: NDArray[np.int64]
    """(n,)."""
    pair_person: NDArray[np.int64]
    """(m,)."""
    answers: tuple[Generated, ...]
    signals: Signals
    floor: Floor
    chosen: tuple[Likelihood, ...]
    """(m,) of the chosen answers, to the base."""


def _likelihoods_of_chosen(
    model: Model, tokenizer: Tokenizer, pairs: Sequence[Pair], config: GateConfig
) -> list[Likelihood]:
    return likelihoods(
        model,
        tokenizer,
        [pair.prompt for pair in pairs],
        [pair.chosen[0].content for pair in pairs],
        batch_size=config.batch_size,
    )


def _all_taxes(taxes: Sequence[Tax], model: Model, tokenizer: Tokenizer) -> Taxed:
    found = [tax(model, tokenizer) for tax in taxes]
    return Taxed(
        tuple(reason for one in found for reason in one.reasons),
        {name: value for one in found for name, value in one.figures.items()},
    )


def _evenly(pairs: Sequence[Pair], config: GateConfig) -> list[Pair]:
    """At most ``max_prompts`` pairs: everybody's first, then everybody's second, and so on."""
    seen: dict[str, int] = {}
    turns: list[int] = []
    for pair in pairs:
        turns.append(seen.get(pair.owner, 0))
        seen[pair.owner] = turns[-1] + 1
    order = sorted(range(len(pairs)), key=turns.__getitem__)[: config.max_prompts]
    return [pairs[i] for i in sorted(order)]


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _mean_tokens(answers: Sequence[Generated]) -> float:
    return float(np.mean([answer.tokens for answer in answers]))
