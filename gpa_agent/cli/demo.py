"""``gpa demo``: the whole loop on a bundled, simulated log, in under a minute and without a key.

Learn, show the rubrics, ask one question as each group, let simulated users react to tailored
answers through the real middleware, learn again, show what changed.
"""

import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gpa_agent.cli.learn import print_report
from gpa_agent.cli.running import (
    JsonOption,
    Progress,
    QuietOption,
    emit,
    guarded,
    note,
    printable,
    progress_on_stderr,
    screen,
)
from gpa_agent.cli.taxonomy import plain
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from gpa_agent.cli.answering import Answered, Answerer
    from gpa_agent.learning.report import LearnReport
    from gpa_agent.rubrics.records import Aspect
    from gpa_agent.testing.chat_world import ChatWorld
    from gpa_agent.workspace import Workspace

QUESTION = "Why does my Python script stop with a KeyError when it reads the settings file?"
"""What is asked as each group."""

_SIMULATED_PEOPLE = 30
_PAID_PEOPLE = 3
"""People per group who react; few where every answer costs money."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog="Example: gpa demo --workspace ./demo-workspace")(demo)


@guarded
def demo(
    *,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="New folder to keep; else a temporary one."),
    ] = None,
    quiet: QuietOption = False,
    json_: JsonOption = False,
) -> None:
    """See the whole loop on a bundled log that the project's own generator made.

    Needs no network and no key. With OPENAI_API_KEY set, real answers come from there.
    """
    from gpa_agent.cli.answering import find_answerer

    answerer = find_answerer()
    with _folder(workspace) as folder, progress_on_stderr(quiet=quiet) as progress:
        result = _run(folder, answerer, progress, shown=not json_)
    if json_:
        emit(result)
    elif workspace is not None:
        note(f"the workspace is kept: gpa rubrics list --workspace {workspace}")


@contextmanager
def _folder(wanted: Path | None) -> Generator[Path]:
    """A new folder; simulated data must not get into a workspace that is in use."""
    if wanted is not None:
        if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
            raise UsageError(
                f"{str(wanted)!r} is not empty; the simulated log goes into a new folder only"
            )
        yield wanted
        return
    folder = Path(tempfile.mkdtemp(prefix="gpa-demo-"))
    try:
        yield folder / "workspace"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, answerer: "Answerer", progress: Progress, *, shown: bool) -> dict[str, Any]:
    from gpa_agent.demo import GROUPS, SEED, bundled_log, bundled_taxonomy
    from gpa_agent.testing.chat_world import ChatWorld
    from gpa_agent.workspace import Workspace

    say = _Screen(shown=shown)
    world = ChatWorld(seed=SEED)
    with Workspace.open(folder, groups=GROUPS, intents=plain(bundled_taxonomy())) as ws:
        say.heading("1. Learn from the bundled log (simulated: no person stands behind it)")
        with bundled_log() as log:
            ws.ingest(log, progress=progress)
        first = ws.learn(progress=progress)
        before = ws.stats()
        say.report(first)
        say.heading("2. Ask the same question as each group")
        answers = {group: _ask(ws, answerer, group) for group in GROUPS}
        say.answers(answers, about=answerer.about)
        people = _SIMULATED_PEOPLE if answerer.simulated else _PAID_PEOPLE
        say.heading(f"3. {people} simulated users of each group react to tailored answers")
        tally = _react(ws, answerer, world, people, progress)
        say.tally(tally)
        say.heading("4. Learn again from what was recorded")
        second = ws.learn(progress=progress)
        after = ws.stats()
        changes = compare(first, second)
        say.changes(before, after, changes)
    return {
        "simulated_log": True,
        "simulated_answers": answerer.simulated,
        "first": first.model_dump(mode="json"),
        "answers": {g: _answer_json(a) for g, a in answers.items()},
        "reactions": {g: t._asdict() for g, t in tally.items()},
        "second": second.model_dump(mode="json"),
        "stats": {"before": before, "after": after},
        "changes": changes,
    }


def _ask(ws: "Workspace", answerer: "Answerer", group: str) -> "Answered":
    from gpa_agent.cli.answering import Talk
    from gpa_agent.turn.middleware import GPAMiddleware

    # Nobody is held out here: a demonstration that shows the plain answer shows nothing.
    graph: Any = GPAMiddleware(ws, holdout=0.0).wrap(answerer.model)
    return Talk(graph, thread=f"demo-question-{group}", group=group).say(QUESTION)


class Tally(NamedTuple):
    """How simulated users took their answers.

    Attributes:
        turns: Answers reacted to.
        tailored: Those that were given guidance.
        held_out: Those kept plain on purpose, so that the lift is measured.
        unknown: Those kept plain because intent or group could not be told.
        degraded: Those kept plain because something of ours failed or took too long.
        pleased: Those that pleased, by what the simulated user felt like showing.
        pleased_in_log: Share of answers in the bundled log with a thumb that was up.
    """

    turns: int
    tailored: int
    held_out: int
    unknown: int
    degraded: int
    pleased: int
    pleased_in_log: float


class _Outcome(NamedTuple):
    """What a turn was given, and whether the simulated user was pleased."""

    trace: Mapping[str, Any]
    pleased: bool


def _unknown(trace: Mapping[str, Any]) -> bool:
    from gpa_agent.conversations.records import UNKNOWN

    return UNKNOWN in (trace.get("intent"), trace.get("group"))


def _react(
    ws: "Workspace", answerer: "Answerer", world: "ChatWorld", people: int, progress: Progress
) -> dict[str, Tally]:
    """Let people of the log come back, ask, and take what the wrapped model answers."""
    from gpa_agent.turn.middleware import GPAMiddleware

    graph: Any = GPAMiddleware(ws).wrap(answerer.model)
    liked = _liked_in_log(world)
    tally: dict[str, Tally] = {}
    done = 0
    for group in world.groups:
        outcomes: list[_Outcome] = []
        for number in range(people):
            outcomes += _conversation(ws, graph, world, group, number)
            done += 1
            progress("simulated users", done, people * len(world.groups))
        tally[group] = Tally(
            turns=len(outcomes),
            tailored=sum(bool(o.trace.get("aspects")) for o in outcomes),
            held_out=sum(o.trace.get("arm") == "holdout" for o in outcomes),
            unknown=sum(_unknown(o.trace) for o in outcomes),
            degraded=sum(bool(o.trace.get("degraded")) for o in outcomes),
            pleased=sum(o.pleased for o in outcomes),
            pleased_in_log=liked[group],
        )
    return tally


def _conversation(
    ws: "Workspace",
    graph: Any,  # noqa: ANN401 -- a compiled graph
    world: "ChatWorld",
    group: str,
    number: int,
) -> "list[_Outcome]":
    """Two answers: the user's next words judge the first, a thumb the second."""
    from gpa_agent.cli.answering import Talk
    from gpa_agent.conversations.records import Judgment
    from gpa_agent.testing.topics import nearest_topic

    intent = ("debugging", "explanation")[number % 2]
    person = world.person(group, number)
    thread = f"demo-{group}-{number}"
    talk = Talk(graph, thread=thread, user=person.id)
    question = world.question(intent, group, number)
    onward = nearest_topic(question).followups[0]
    outcomes: list[_Outcome] = []
    said = question
    for turn, follow in enumerate((onward, None)):
        answered = talk.say(said)
        reaction = world.react(
            intent, group, answered.text, person=number, question=question, onward=follow
        )
        outcomes.append(_Outcome(answered.trace, reaction.judgment is Judgment.SAT))
        said = reaction.utterance
        if follow is None:
            ws.feedback(conversation=thread, turn=turn, judgment=reaction.judgment, user=person.id)
    return outcomes


def _liked_in_log(world: "ChatWorld") -> dict[str, float]:
    """Share of thumbs that were up, per group, over the intents that are asked about."""
    thumbs: dict[str, list[int]] = {group: [] for group in world.groups}
    for record in world.log():
        if record["intent"] != "planning":
            thumbs[record["group"]] += [
                m["judgment"] for m in record["messages"] if "judgment" in m
            ]
    return {group: sum(j > 0 for j in js) / max(1, len(js)) for group, js in thumbs.items()}


def compare(first: "LearnReport", second: "LearnReport") -> list[dict[str, Any]]:
    """What a second run of learning says that the first did not, aspect by aspect.

    Args:
        first: The earlier report.
        second: The later one.

    Returns:
        One entry per aspect that is live in either, with version, turns, effect and q of both.
    """
    was, now = _live(first), _live(second)
    entries: list[dict[str, Any]] = []
    for intent, name in dict.fromkeys([*was, *now]):
        entries.append(
            {
                "intent": intent,
                "aspect": name,
                "before": _figures(was.get((intent, name))),
                "after": _figures(now.get((intent, name))),
            }
        )
    return entries


def _live(report: "LearnReport") -> "dict[tuple[str, str], tuple[int, Aspect]]":
    return {
        (r.intent, a.name): (r.version, a)
        for r in report.rubrics
        for a in r.aspects
        if a.status == "live"
    }


def _figures(found: "tuple[int, Aspect] | None") -> dict[str, Any] | None:
    if found is None:
        return None
    version, aspect = found
    e = aspect.evidence
    return {
        "version": version,
        "rating": aspect.rating,
        "effect": e.effect if e else None,
        "q_value": e.q_value if e else None,
        "turns": dict(e.turns) if e else {},
    }


def _answer_json(answered: "Answered") -> dict[str, Any]:
    return {
        "trace": dict(answered.trace),
        "system": answered.system,
        "assistant": answered.text,
    }


class _Screen:
    """Prints the demo, or nothing where only JSON is wanted.

    Args:
        shown: Whether to print.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._console = screen()

    def heading(self, text: str) -> None:
        if self._shown:
            self._console.print(f"\n{text}\n", style="bold cyan")

    def report(self, report: "LearnReport") -> None:
        if self._shown:
            print_report(report)

    def answers(self, answers: "dict[str, Answered]", *, about: str) -> None:
        from gpa_agent.cli.answering import trace_line

        self._lines([f"question: {QUESTION}", about])
        for group, answered in answers.items():
            if self._shown:
                self._console.print(f"\nasked as {group}", style="bold")
            self._lines([trace_line(answered.trace), "the system text that went to the model:"])
            self._lines(_indented(answered.system or "(none: the plain answer)"))
            self._lines(["the answer:", *_indented(answered.text)])

    def tally(self, tally: dict[str, Tally]) -> None:
        for group, t in tally.items():
            share = t.pleased / max(1, t.turns)
            pleased = f"{share:.0%} pleased (untailored answers in the log: {t.pleased_in_log:.0%})"
            plain = f"{t.held_out} held out, {t.unknown} of unknown intent, {t.degraded} degraded"
            self._lines([f"{group}: {t.turns} answers, {t.tailored} tailored ({plain}); {pleased}"])
        self._lines(["Simulated users: it shows that the loop closes, and nothing about people."])

    def changes(
        self, before: dict[str, int], after: dict[str, int], changes: list[dict[str, Any]]
    ) -> None:
        grown = [f"{k} {before[k]} → {after[k]}" for k in before if after.get(k) != before[k]]
        self._lines(["counts: " + (", ".join(grown) or "as before")])
        for entry in changes:
            self._lines([f"{entry['intent']}/{entry['aspect']}: {_change_line(entry)}"])

    def _lines(self, lines: Sequence[str]) -> None:
        if self._shown:
            for line in lines:
                self._console.print(printable(line))


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]


def _change_line(entry: dict[str, Any]) -> str:
    was, now = entry["before"], entry["after"]
    if was is None:
        return f"new: {_short(now)}"
    if now is None:
        return f"gone: was {_short(was)}"
    return f"{_short(was)} → {_short(now)}"


def _short(figures: dict[str, Any]) -> str:
    if figures["effect"] is None:
        return f"version {figures['version']}, hand-written"
    turns = "/".join(str(n) for n in figures["turns"].values())
    return (
        f"version {figures['version']}, effect {figures['effect']:+.2f}, "
        f"q {figures['q_value']:.4f}, turns {turns}"
    )
