"""How much time does learning with a model add to the waiting for it, and how much memory?

Run: python -m benchmarks.calls [--turns 2000] [--memory 10000,40000] [--profile] [--quick] [--json]

A simulated provider answers after 300 ms, in a process of its own, over HTTP on loopback; learning
asks it through LangChain's OpenAI client with 64 calls in flight, from an ingested log to live
items. The floor is calls x latency / concurrency: what nobody can be faster than. Measured with a
log that names groups and intents, and with one where the model labels both. Beside it, in the same
run: a bare aiohttp client that posts as many questions and does nothing else, which shows what the
machine and the provider allow; and, on a smaller log, the paper's Algorithm 1 written out, one call
after the other, without a ledger. Memory: logs with thumbs, a simulated model in the process that
answers at once.

Predicted before the first run: 1.12 with named labels (contrast waits for five answers in a
row, 1.5 s of about 20), 1.10 with labels asked for, 2.5 ms of CPU a call; 30 times as fast as the
plain loop on 200 turns; memory 1.15 from 10,000 to 40,000 conversations.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from rich.console import Console
from rich.table import Table

from gpa_agent import Workspace
from gpa_agent.embedding import HashingEncoder
from gpa_agent.prompts import (
    AspectsAnswer,
    Numbered,
    PreferenceAnswer,
    SatisfactionAnswer,
    aspects_ask,
    load,
    preference_ask,
    read_answer,
    satisfaction_ask,
)
from gpa_agent.testing.simulated_chat_model import SimulatedChatModel
from gpa_agent.testing.voiced_world import VoicedWorld, taxonomy
from gpa_agent.testing.world_logs import write_log

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import BaseModel

    from gpa_agent.prompts.asking import Ask

PROMISES = "wall time <= 1.15 of the floor; memory <= 1.2 from the smaller to the larger log"
STAGES = {
    "satisfaction": "judge",
    "intent": "judge",
    "group": "judge",
    "preference_sat": "explain",
    "preference_dsat": "explain",
    "aspects": "contrast",
    "merging": "contrast",
    "voices": "contrast",
    "validity": "contrast",
}
_PLACES_EVERY = 0.005
_CORES_EVERY = 0.2
_MINIBATCH = 20
_TURNS_OF_A_PAIR = 15
"""Answers that a person of each group get together, and a few more."""


@contextmanager
def provider(latency: float) -> Generator[str]:
    """A simulated provider in a process of its own; its URL."""
    command = [sys.executable, "-m", "gpa_agent.testing.provider_server", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield cast("Any", server.stdout).readline().strip()
        finally:
            server.terminate()


def log_of(path: Path, turns: int, *, named: bool) -> int:
    """Write a log of that many answers, each with a reply; the number of conversations."""
    people = max(5, turns // _TURNS_OF_A_PAIR)
    world = VoicedWorld(people=people, name_groups=named, name_intents=named)
    written = answers = 0
    with path.open("w", encoding="utf-8") as file:
        for record in world.log():
            if answers >= turns:
                break
            file.write(json.dumps(record) + "\n")
            written += 1
            answers += len(record["messages"]) // 2
    return written


def learn(job: Mapping[str, Any]) -> dict[str, Any]:
    """Learn from a log; run in a process of its own.

    Args:
        job: ``log``, ``ws``, ``model`` (None: simulated, in this process), ``concurrency``,
            ``labels`` (whether the model labels intents), ``profile``, ``minilm``.
    """
    model = job["model"] or SimulatedChatModel()
    intents = {n: i.model_dump() for n, i in taxonomy().items()} if job["labels"] else None
    encoder = None if job["minilm"] else HashingEncoder()
    with Workspace.open(
        job["ws"],
        groups=VoicedWorld.groups,
        intents=intents,
        model=model,
        encoder=encoder,
        concurrency=job["concurrency"],
    ) as ws:
        ws.ingest(job["log"])
        sampler = Sampler(places=job["profile"])
        wall, cpu = time.perf_counter(), time.process_time()
        peaks: dict[str, float] = {}
        report = ws.learn(progress=lambda stage, *_: peaks.update({stage: _peak()}))
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        threads = sampler.stop()
    asked = report.model.model_dump()["by_prompt"] if report.model else {}
    return {
        "seconds": seconds,
        "cpu": cpu_seconds,
        "mib": _peak(),
        "peaks": peaks,
        "calls": report.calls,
        "by_prompt": {name: figures["calls"] for name, figures in asked.items()},
        "stages": {name: stage.seconds for name, stage in report.stages.items()},
        "live": sum(a.status == "live" for r in report.rubrics for a in r.aspects),
        "threads": threads,
    }


def _peak() -> float:
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(job: Mapping[str, Any], *, url: str | None = None) -> dict[str, Any]:
    """Run `learn` in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if url:
        environment |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none-needed"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.calls", "--job", json.dumps(job)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


class Sampler:
    """Looks now and then where each thread is, and what it has had of the cores.

    Places are biased to where a thread lets go of the interpreter's lock; seconds are not.

    Args:
        places: Whether to look at places at all.
    """

    def __init__(self, *, places: bool) -> None:
        self._places = places
        self._every = _PLACES_EVERY if places else _CORES_EVERY
        self._seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._cores: dict[str, tuple[float, float]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """By thread: seconds on a core, seconds it waited for one, and its most frequent places."""
        self._stopped.set()
        self._thread.join()
        return {
            name: {"cpu": cpu, "waited": waited, "places": self._seen[name].most_common(25)}
            for name, (cpu, waited) in sorted(self._cores.items())
        }

    def _sample(self) -> None:
        while not self._stopped.wait(self._every):
            frames = sys._current_frames() if self._places else {}  # noqa: SLF001 -- what it is for
            for thread in threading.enumerate():
                if thread is not self._thread and thread.native_id:
                    self._look(thread, frames.get(thread.ident or 0))

    def _look(self, thread: threading.Thread, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):  # it may have ended, or this is not Linux
            said = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
            cpu, waited, _ = said.split()
            self._cores[thread.name] = (int(cpu) / 1e9, int(waited) / 1e9)
        if frame is not None:
            self._seen[thread.name][_place(frame)] += 1


def _place(frame: FrameType | None) -> str:
    """The innermost function, and the innermost of ours that it runs for."""
    leaf, ours = _called(frame), ""
    while frame is not None and not ours:
        ours = _called(frame) if "gpa_agent" in frame.f_code.co_filename else ""
        frame = frame.f_back
    return leaf if leaf == ours else f"{leaf} < {ours or 'nothing of ours'}"


def _called(frame: FrameType | None) -> str:
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}" if frame else ""


def overhead(
    turns: int,
    *,
    latency: float,
    concurrency: int,
    named: bool,
    profile: bool = False,
    minilm: bool = False,
) -> dict[str, Any]:
    """Wall time over the floor, by stage."""
    with tempfile.TemporaryDirectory() as folder, provider(latency) as url:
        log = Path(folder) / "log.jsonl"
        log_of(log, turns, named=named)
        job = _job(folder, "openai:simulated", concurrency, labels=not named)
        figures = in_process({**job, "profile": profile, "minilm": minilm}, url=url)
        with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:
            seen = json.load(answer)
        alone = asyncio.run(bare(url, figures["calls"], concurrency))
    floor = dict.fromkeys(STAGES.values(), 0.0)
    for prompt, calls in figures["by_prompt"].items():
        floor[STAGES[prompt]] += calls * latency / concurrency
    return {
        **figures,
        "turns": turns,
        "labels": "named" if named else "asked",
        "floor": sum(floor.values()),
        "ratio": sum(figures["stages"][stage] for stage in floor) / sum(floor.values()),
        "floors": floor,
        "bare": alone,
        "cpu_per_call_ms": 1000 * figures["cpu"] / figures["calls"],
        "repeats": seen["repeats"],
        "most_in_flight": seen["most_in_flight"],
        "load": os.getloadavg()[0],
    }


async def bare(url: str, calls: int, concurrency: int) -> float:
    """Seconds of a client that only posts questions: what this machine and provider allow."""
    waiting = iter(range(calls))

    async def post(session: aiohttp.ClientSession) -> None:
        for number in waiting:
            ask = satisfaction_ask(f"Why? ({number})", "Because.", "Thanks.", subject="t:c:0")
            said = [
                {"role": "system", "content": ask.system},
                {"role": "user", "content": ask.data},
            ]
            body = {"model": "simulated", "messages": said}
            async with session.post(f"{url}/chat/completions", json=body) as answer:
                await answer.json()

    started = time.perf_counter()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(post(session) for _ in range(concurrency)))
    return time.perf_counter() - started


def _job(folder: str, model: str | None, concurrency: int, *, labels: bool) -> dict[str, Any]:
    return {
        "log": str(Path(folder) / "log.jsonl"),
        "ws": str(Path(folder) / "ws.gpa"),
        "model": model,
        "concurrency": concurrency,
        "labels": labels,
        "profile": False,
        "minilm": False,
    }


def against_plain(turns: int, *, latency: float, concurrency: int) -> dict[str, Any]:
    """Our learning against the paper's listing on the same log, groups and intents named."""
    with tempfile.TemporaryDirectory() as folder, provider(latency) as url:
        log_of(Path(folder) / "log.jsonl", turns, named=True)
        ours = in_process(_job(folder, "openai:simulated", concurrency, labels=False), url=url)
        from langchain_openai import ChatOpenAI  # slow to import

        plain = Plain(ChatOpenAI(model="simulated", base_url=url, api_key=cast("Any", "none")))
        records = [json.loads(line) for line in (Path(folder) / "log.jsonl").open()]
        started = time.perf_counter()
        kept = plain.learn(records)
        seconds = time.perf_counter() - started
    return {
        "turns": turns,
        "plain": seconds,
        "plain calls": plain.calls,
        "plain kept": kept,
        "ours": ours["seconds"],
        "our calls": ours["calls"],
        "live": ours["live"],
        "times as fast": seconds / ours["seconds"],
        "times as fast per call": seconds / plain.calls / (ours["seconds"] / ours["calls"]),
    }


class Plain:
    """Algorithm 1 as the paper lists it: a call, its answer, the next call."""

    def __init__(self, model: BaseChatModel) -> None:
        self.calls = 0
        self._model = model
        self._voiced: defaultdict[tuple[str, str], list[Numbered]] = defaultdict(list)

    def learn(self, records: list[dict[str, Any]]) -> int:
        """Lines 3 to 31; how many aspects are rated above 2."""
        for record in records:
            said = [m["content"] for m in record["messages"]]
            for at in range(0, len(said) - 2, 2):
                self._explain(record, *said[at : at + 3])
        first, second = VoicedWorld.groups
        intents = sorted({intent for intent, _ in self._voiced})
        return sum(self._contrast(self._voiced[i, first], self._voiced[i, second]) for i in intents)

    def _explain(self, record: Mapping[str, Any], user: str, answer: str, reply: str) -> None:
        verdict = cast(
            "SatisfactionAnswer", self._ask(satisfaction_ask(user, answer, reply, subject="t:c:0"))
        ).verdict
        if verdict == "neither":
            return
        pleased = verdict == "satisfied"
        ask = preference_ask(user, answer, reply, pleased=pleased, subject="t:c:0")
        said = cast("PreferenceAnswer", self._ask(ask))
        if said.expectation:
            voiced = Numbered(self.calls, pleased, said.expectation, "; ".join(said.reasons))
            self._voiced[record["intent"], record["group"]].append(voiced)

    def _contrast(self, first: list[Numbered], second: list[Numbered]) -> int:
        answer = AspectsAnswer(aspects=[])
        for at in range(0, min(len(first), len(second)), _MINIBATCH):
            ask = aspects_ask(
                first[at : at + _MINIBATCH], second[at : at + _MINIBATCH], answer.aspects
            )
            answer = cast("AspectsAnswer", self._ask(ask))
        return sum(a.rating > 2 for a in answer.aspects)

    def _ask(self, ask: Ask) -> BaseModel:
        self.calls += 1
        return read_answer(load(cast("Any", ask.prompt)), self._model.invoke(ask.messages()).text)


def memory(conversations: int) -> dict[str, Any]:
    """Peak of learning from a log with thumbs, one answer a conversation."""
    world = VoicedWorld(people=conversations // 8, answers=(1, 1), explicit=1.0)
    with tempfile.TemporaryDirectory() as folder:
        written = write_log(world, Path(folder) / "log.jsonl")
        figures = in_process(_job(folder, None, 16, labels=False))
    return {"conversations": written, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=2000, help="judged turns")
    parser.add_argument("--plain-turns", type=int, default=200, help="for the plain loop")
    parser.add_argument("--latency", type=float, default=0.3, help="seconds of an answer")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument(
        "--memory", default="10000,40000", help="conversations; the target is 10000,100000"
    )
    parser.add_argument("--only", choices=("time", "plain", "memory"), help="one of the three")
    parser.add_argument("--minilm", action="store_true", help="the encoder that is found")
    parser.add_argument("--profile", action="store_true", help="where the threads are, as JSON")
    parser.add_argument("--quick", action="store_true", help="small logs, short waits")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(learn(json.loads(args.job))))
        return
    if args.quick:
        args.turns, args.plain_turns, args.latency, args.memory = 60, 10, 0.05, "80"
    figures = measure(args)
    if args.json or args.profile:
        print(json.dumps(figures))
        return
    show(figures, args)


def measure(args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Everything that was asked for."""
    pace = {"latency": args.latency, "concurrency": args.concurrency}
    figures: dict[str, list[dict[str, Any]]] = {"time": [], "plain": [], "memory": []}
    if args.only in (None, "time"):
        extra = {"profile": args.profile, "minilm": args.minilm}
        variants = (True,) if args.quick else (True, False)
        figures["time"] = [overhead(args.turns, **pace, named=n, **extra) for n in variants]
    if args.only in (None, "plain"):
        figures["plain"] = [against_plain(args.plain_turns, **pace)]
    if args.only in (None, "memory"):
        figures["memory"] = [memory(int(size)) for size in args.memory.split(",")]
    return figures


def show(figures: Mapping[str, list[dict[str, Any]]], args: argparse.Namespace) -> None:
    """Print the figures as tables."""
    console = Console()
    for f in figures["time"]:
        table = Table(
            title=f"{f['turns']:,} judged turns, groups and intents {f['labels']}, "
            f"{args.latency * 1000:.0f} ms, {args.concurrency} in flight"
        )
        for column in ("stage", "calls", "seconds", "floor s", "ratio"):
            table.add_column(column)
        for stage, floor in f["floors"].items():
            calls = sum(n for p, n in f["by_prompt"].items() if STAGES[p] == stage)
            took = f["stages"][stage]
            ratio = f"{took / floor:.2f}" if floor else ""
            table.add_row(stage, f"{calls:,}", f"{took:.2f}", f"{floor:.2f}", ratio)
        took = sum(f["stages"][stage] for stage in f["floors"])
        table.add_row(
            "all", f"{f['calls']:,}", f"{took:.2f}", f"{f['floor']:.2f}", f"{f['ratio']:.2f}"
        )
        console.print(table)
        loop, main_ = (
            f["threads"].get(name, {"cpu": 0.0, "waited": 0.0})
            for name in ("gpa-calls", "MainThread")
        )
        others = {k: round(v, 2) for k, v in f["stages"].items() if k not in f["floors"]}
        console.print(
            f"A bare client: {f['bare']:.2f} s, {f['bare'] / f['floor']:.2f} of the floor. "
            f"`learn` in all {f['seconds']:.2f} s, imports and opening stores included; further "
            f"stages {others}"
        )
        console.print(
            f"The thread of calls: {loop['cpu']:.1f} s on a core, {loop['waited']:.1f} s waiting "
            f"for one; main {main_['cpu']:.1f} s. CPU a call {f['cpu_per_call_ms']:.2f} ms, "
            f"{f['mib']:.0f} MiB, at most {f['most_in_flight']} in flight, "
            f"{f['repeats']} repeats; load {f['load']:.1f}"
        )
    for f in figures["plain"]:
        console.print(
            f"Plain Algorithm 1, {f['turns']} turns: {f['plain']:.1f} s for {f['plain calls']} "
            f"calls; ours {f['ours']:.1f} s for {f['our calls']}: {f['times as fast']:.1f} times "
            f"as fast, {f['times as fast per call']:.1f} per call"
        )
    for f in figures["memory"]:
        console.print(
            f"{f['conversations']:,} conversations: {f['mib']:.0f} MiB peak, {f['seconds']:.0f} s, "
            f"{f['calls']:,} calls, {1000 * f['cpu'] / f['calls']:.2f} ms of CPU each; "
            f"peak after {', '.join(f'{k} {v:.0f}' for k, v in f['peaks'].items())}"
        )
    if len(figures["memory"]) > 1:
        low, high = figures["memory"][0]["mib"], figures["memory"][-1]["mib"]
        console.print(f"Memory ratio {high / low:.2f}")
    console.print(f"Promised: {PROMISES}.")


if __name__ == "__main__":
    main()
