"""What the tuning process does for each group: plan, train, judge, publish."""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpa_agent.alignment.bases import find_base, is_folder
from gpa_agent.alignment.deps import versions
from gpa_agent.alignment.faults import mapped
from gpa_agent.alignment.fingerprints import fingerprint
from gpa_agent.alignment.gating.gate import Gate, Tax, load_taxes
from gpa_agent.alignment.gating.judging import Judge, load_judge
from gpa_agent.alignment.gating.verdict import Checkpoint, Verdict, too_few, too_often
from gpa_agent.alignment.manifest import (
    MANIFEST,
    Base,
    Manifest,
    Run,
    inputs_digest,
    looks_at,
    people_digest,
    runs,
)
from gpa_agent.alignment.pair import Pair
from gpa_agent.alignment.tuning import checkpoints, trainers
from gpa_agent.alignment.tuning.artifacts import publish, sweep
from gpa_agent.alignment.tuning.choosing import Chosen, choose
from gpa_agent.alignment.tuning.curves import History, metrics_at
from gpa_agent.alignment.tuning.job import Job, newest_rubrics, pairs_digest, wishes_of
from gpa_agent.alignment.tuning.outcomes import (
    REWARD_ACCURACY,
    ROWS,
    STEPS,
    Outcome,
    failed,
    outcome_of,
)
from gpa_agent.alignment.tuning.plan import Plan
from gpa_agent.alignment.tuning.rows import Prepared, prepare
from gpa_agent.errors import DataError, ModelError, UsageError
from gpa_agent.ledger import Busy
from gpa_agent.ledger.locks import FileLock
from gpa_agent.ledger.opening import utc_now

if TYPE_CHECKING:
    from gpa_agent.alignment.tuning.child import Events
    from gpa_agent.alignment.tuning.rejection import Kept

LOCK: Final = "finetune.lock"
_SELECTED: Final = "outside_the_widest_margins"


class Runner:
    """Tunes the groups of a job on one base.

    Args:
        job: What to do.
        events: Told of everything.
        first: Whether this process writes; of several under accelerate one does.

    Raises:
        UsageError: The base or the hardware is not what it has to be.
    """

    def __init__(self, job: Job, events: Events, *, first: bool = True) -> None:
        trainers.quiet()
        self._job = job
        self._config = job.config
        self._events = events
        self._first = first
        self._on = trainers.hardware(job.config)
        self._folder = find_base(job.config.base)
        events.stage(None, "reading the base", 0, None)
        name = str(self._folder) if is_folder(job.config.base) else job.config.base
        self._base = Base(name=name, **fingerprint(self._folder).model_dump())
        self._tokenizer = trainers.load_tokenizer(self._folder)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep every other process from tuning into the same folder.

        Raises:
            Busy: One is at it.
        """
        if not self._first or self._job.dry_run:
            yield
            return
        models = self._job.folders.models
        with mapped("getting ready"):
            models.mkdir(parents=True, exist_ok=True)
        lock = FileLock(models / LOCK, utc_now)
        if not lock.take():
            raise Busy(f"{lock.holder()} is tuning into {str(models)!r}; wait until it is done")
        try:
            yield
        finally:
            lock.release()

    def to_do(self) -> Iterator[Plan]:
        """Plan group after group; those with nothing to tune are told of and passed over."""
        for group in self._job.groups:
            try:
                plan = self._plan(group)
                before = None if self._job.force else self._finished(plan)
                if before is not None:
                    self._events.outcome(outcome_of(before.manifest, before.path, again=True))
                elif worn := too_often(group, plan.looks, self._config.gate):
                    self._events.outcome(failed(group, DataError(worn)))
                elif self._job.dry_run:
                    self._events.outcome(self._planned(plan))
                else:
                    yield plan
            except DataError as error:
                self._events.outcome(failed(group, error))

    def tune(self, plan: Plan) -> Outcome:
        """Train a group's adapter, judge it and publish what came out.

        Args:
            plan: The group's.

        Raises:
            DataError: There is nothing to train on, or people were forgotten meanwhile.
            StoreError: Something cannot be written.
            ModelError: The base was changed, or memory did not suffice.
        """
        prepared = self._prepared(plan)
        work = self._job.folders.work(plan.group) / plan.inputs[:16]
        self._make_ready(plan.group, work)
        before = self._base_state
        gate = self._gate(plan) if self._first else None
        trainer = self._trained(plan.group, prepared, work)
        history, steps = trainer.state.log_history, trainer.state.max_steps
        chosen = self._chosen(gate, trainer, plan.group, work) if gate is not None else None
        trainers.take_off(trainer)
        del trainer
        trainers.let_go()
        if trainers.state_sha256(self._model) != before:
            raise ModelError(f"the base was changed while tuning {plan.group!r}: nothing is kept")
        if gate is None or chosen is None:
            return Outcome(group=plan.group, status="planned")
        looks = gate.looks(plan.group)
        manifest = self._manifest(plan, prepared, chosen, history, steps, looks=looks)
        folder = self._published(plan, chosen.checkpoint, manifest, history)
        self._clear(plan.group)
        return self._noted(outcome_of(manifest, folder, again=False), prepared)

    def _noted(self, outcome: Outcome, prepared: Prepared) -> Outcome:
        notes = [*outcome.notes, *prepared.notes]
        if len(self._job.folders.groups()) == 1:
            alone = "no other group has pairs: whether it pleases others as much was not looked at"
            notes.append(alone)
        return outcome.model_copy(update={"notes": tuple(notes)})

    # -- before ----------------------------------------------------------------------------------

    def _pairs(self, group: str) -> list[Pair]:
        return self._job.folders.pairs_of(group)

    def _plan(self, group: str) -> Plan:
        pairs = self._pairs(group)
        held_out = [pair for pair in pairs if pair.split == "holdout"]
        plan = Plan(
            group=group,
            train=[pair for pair in pairs if pair.split == "train"],
            held_out=held_out,
            looks=looks_at(self._job.folders.finished(group), people_digest(held_out)),
            inputs=inputs_digest(
                self._base, pairs_digest(pairs), self._config, self._job.folders.groups()
            ),
        )
        if not plan.train:
            raise DataError(f"group {group!r} has no pairs to train on; make some with 'gpa pairs'")
        judged_by = {pair.owner for pair in plan.held_out}
        refusal = too_few(group, len(judged_by), len(plan.held_out), self._config.gate)
        if refusal is not None:  # the gate would say so after the training
            raise DataError(refusal)
        return plan

    def _finished(self, plan: Plan) -> Run | None:
        """The newest run that is not stale, where it is on the same inputs.

        An older one does not count: what was asked for last is what has to serve.
        """
        found = runs(self._job.folders.finished(plan.group))
        newest = next((run for run in found if not run.stale), None)
        return newest if newest is not None and newest.manifest.inputs == plan.inputs else None

    def _planned(self, plan: Plan) -> Outcome:
        """What would be done; of rejection sampling only how many pairs it would keep."""
        prepared = self._rows(plan.train)
        rows = len(prepared.rows)
        if self._config.method.startswith("rs-"):
            rows = max(1, math.floor(rows * self._config.keep))
        return Outcome(
            group=plan.group,
            status="planned",
            pairs=len(plan.train),
            held_out=len(plan.held_out),
            rows=rows,
            steps=trainers.steps_of(rows, self._config),
            counts=prepared.left_out,
            notes=tuple(prepared.notes),
        )

    def _prepared(self, plan: Plan) -> Prepared:
        found = self._widest(plan)
        kept = plan.train if found is None else found.kept
        prepared = self._rows(kept)
        if not prepared.rows:
            said = ", ".join(f"{n} {reason}" for reason, n in prepared.left_out.items())
            raise DataError(f"no row of group {plan.group!r} can be trained on ({said})")
        if len(kept) < len(plan.train):
            prepared.left_out[_SELECTED] = len(plan.train) - len(kept)
        if found is not None:
            prepared.figures[REWARD_ACCURACY] = found.accuracy[plan.group].mean
            prepared.notes.append(f"the reward model reads answers by {found.encoder}")
        return prepared

    def _widest(self, plan: Plan) -> Kept | None:
        """Of the ``rs-`` methods the pairs with the widest margin; None of the others."""
        if not self._config.method.startswith("rs-"):
            return None
        from gpa_agent.alignment.tuning.rejection import keep_by_margin  # noqa: PLC0415 -- rs- alone
        from gpa_agent.embedding import find_encoder  # noqa: PLC0415 -- as above

        self._events.stage(plan.group, "reward model", 0, None)
        encoder = find_encoder(allow_download=False)
        share, seed = self._config.keep, self._config.seed
        return keep_by_margin(plan.train, encoder, share=share, seed=seed)

    def _rows(self, pairs: Sequence[Pair]) -> Prepared:
        return prepare(
            pairs,
            self._config.method,
            tokens=trainers.renderer(self._tokenizer),
            max_length=self._config.max_length,
            seed=self._config.seed,
        )

    # -- training --------------------------------------------------------------------------------

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401 -- transformers' classes are made at run time
        """The base, loaded when the first group needs it."""
        self._events.stage(None, "loading the base", 0, None)
        return trainers.load_base(self._folder, self._config, self._on)

    @cached_property
    def _base_state(self) -> str:
        return trainers.state_sha256(self._model)

    def _make_ready(self, group: str, work: Path) -> None:
        """Clear away what no run can go on from: torn folders, checkpoints of other inputs."""
        if not self._first:
            return
        sweep(self._job.folders.finished(group))
        if work.parent.is_dir():
            for other in set(work.parent.iterdir()) - {work}:
                shutil.rmtree(other)
        checkpoints.sweep_torn(work)

    def _trained(self, group: str, prepared: Prepared, work: Path) -> Any:  # noqa: ANN401 -- as above
        def on_step(done: int, total: int) -> None:
            self._events.stage(group, "training", done, total)
            if self._first and not work.is_dir():
                raise self._forgotten(group)

        whole = checkpoints.whole_checkpoints(work)
        trainer = trainers.trainer_for(
            self._model,
            self._tokenizer,
            prepared,
            self._config,
            on=self._on,
            work=work,
            on_step=on_step,
        )
        trainer.train(resume_from_checkpoint=str(whole[-1]) if whole else None)
        return trainer

    # -- the gate --------------------------------------------------------------------------------

    @cached_property
    def _judge(self) -> Judge:
        pairs = (p for group in self._job.folders.groups() for p in self._pairs(group))
        return load_judge(self._config.judge, rubrics=self._job.rubrics, pairs=pairs)

    @cached_property
    def _taxes(self) -> tuple[Tax, ...]:
        return load_taxes(self._config.taxes)

    def _gate(self, plan: Plan) -> Gate:
        """The gate for one group, made while the base is bare."""
        self._events.stage(plan.group, "answers of the base", 0, None)
        return Gate(
            self._model,
            self._tokenizer,
            held_out={plan.group: plan.held_out},
            judge=self._judge,
            config=self._config.gate,
            groups=self._job.folders.groups(),
            taxes=self._taxes,
            looks={plan.group: plan.looks},
        )

    def _chosen(self, gate: Gate, trainer: Any, group: str, work: Path) -> Chosen:  # noqa: ANN401 -- as above
        def examine(checkpoint: Path, named: Checkpoint) -> Verdict:
            step = checkpoints.step_of(checkpoint)
            self._events.stage(group, f"gate, step {step}", 0, None)
            trainers.take_weights(trainer.model, checkpoint)
            return gate.examine(trainer.model, group, checkpoint=named)

        whole = checkpoints.whole_checkpoints(work)
        if not whole:
            raise self._forgotten(group)
        return choose(whole, trainer.state.log_history, examine)

    # -- after -----------------------------------------------------------------------------------

    def _manifest(
        self,
        plan: Plan,
        prepared: Prepared,
        chosen: Chosen,
        history: History,
        steps: int,
        *,
        looks: int,
    ) -> Manifest:
        return Manifest(
            group=plan.group,
            method=self._config.method,
            base=self._base,
            data=plan.data(prepared.sha256, looks=looks),
            people=tuple(sorted(plan.people)),
            wishes=wishes_of(plan.train),
            rubric_versions=dict(newest_rubrics(plan.train)),
            config=self._config,
            seed=self._config.seed,
            packages=versions(),
            metrics={
                **prepared.figures,
                **metrics_at(history, checkpoints.step_of(chosen.checkpoint)),
            },
            counts={ROWS: len(prepared.rows), STEPS: steps, **prepared.left_out},
            verdict=chosen.verdict,
            inputs=plan.inputs,
            created_at=utc_now(),
        )

    def _published(
        self, plan: Plan, checkpoint: Path, manifest: Manifest, history: History
    ) -> Path:
        """Publish, unless somebody was forgotten since training began.

        Forgetting takes a person's pairs away and then looks through the manifests. Looking once
        more after the manifest is written leaves no moment at which neither sees the other.
        """
        if not self._all_are_there(plan):
            raise self._forgotten(plan.group)
        folder = publish(self._job.folders.finished(plan.group), checkpoint, manifest, history)
        if not self._all_are_there(plan):
            (folder / MANIFEST).unlink()  # first: without it the folder counts for nothing
            shutil.rmtree(folder)
            raise self._forgotten(plan.group)
        return folder

    def _all_are_there(self, plan: Plan) -> bool:
        try:
            there = {pair.person for pair in self._pairs(plan.group)}
        except UsageError:  # the last of its pairs went, and the file with them
            return not plan.people
        return plan.people <= there

    def _forgotten(self, group: str) -> DataError:
        """Somebody was: take away what has learned from them, and say so."""
        self._clear(group)
        return DataError(
            f"people of group {group!r} were forgotten while its model was tuned: it is not kept; "
            "run it again"
        )

    def _clear(self, group: str) -> None:
        shutil.rmtree(self._job.folders.work(group), ignore_errors=True)
