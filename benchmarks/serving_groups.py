"""What does answering many groups together from one base give, and does it change an answer?

Run: python benchmarks/serving_groups.py [--base FOLDER] [--groups 8] [--tokens 40] [--json]

Without ``--base`` the miniature base is trained first (half a minute). Adapters are random: how
fast they are does not depend on what they learned, and that they answer differently is all that
is needed to see whose answer one gets. "Bare PEFT" is ``set_adapter`` or ``adapter_names`` and
``generate``, as its documentation has it. On a CPU torch is held to one thread.

Every row is run in turn for every round; the best round counts, and the ratio is of those.
"""
# ruff: noqa: ANN401 -- options are handed on as they come

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gpa_agent.alignment.deps import require
from gpa_agent.alignment.serving.asking import Answer, Request
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.testing.miniature.base import make_base

PROMISE = (
    "mixed batches of 8 groups >= 1.6 x one by one; cancelled <= 50 ms; 16 threads, 3 groups, "
    "60 requests: every answer equals the serial one; seeded answers do not depend on batch mates"
)
TASKS = ("sort a list", "read a file", "parse a date", "merge two tables", "count words")
FORMS = ("How do I {}?", "My program cannot {}, why?", "Please {} for me.", "{}: where do I start?")
QUESTIONS = [form.format(task) for task in TASKS for form in FORMS]


def request(number: int, groups: Sequence[str], tokens: int, **wishes: Any) -> Request:
    asked = [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
    wishes = {"temperature": 0.0, "max_tokens": tokens, **wishes}
    return Request(messages=asked, adapter=groups[number % len(groups)], **wishes)


def make_adapters(base: Path, folder: Path, groups: int) -> dict[str, Path]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    made: dict[str, Path] = {}
    for number in range(groups):
        torch.manual_seed(number)
        config = LoraConfig(
            r=8,
            lora_alpha=16,
            target_modules=[
                "down_proj",
                "gate_proj",
                "k_proj",
                "o_proj",
                "q_proj",
                "up_proj",
                "v_proj",
            ],
            init_lora_weights=False,
            task_type="CAUSAL_LM",
        )
        made[f"group {number}"] = folder / f"adapter-{number}"
        model = AutoModelForCausalLM.from_pretrained(base)
        get_peft_model(model, config).save_pretrained(str(made[f"group {number}"]))
    return made


class BarePeft:
    """The same model, asked as PEFT's documentation does it."""

    def __init__(self, base: Path, adapters: dict[str, Path]) -> None:
        from peft import PeftModelForCausalLM
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(base)
        self.names = {group: f"a{number}" for number, group in enumerate(adapters)}
        (first, *others), model = adapters, AutoModelForCausalLM.from_pretrained(base)
        self.model = PeftModelForCausalLM.from_pretrained(model, adapters[first], self.names[first])
        for group in others:
            self.model.load_adapter(adapters[group], self.names[group])
        self.model.eval()

    def one_by_one(self, asked: Sequence[Request]) -> int:
        """Tokens made, switching adapters for each question."""
        made = 0
        for wanted in asked:
            self.model.set_adapter(self.names[str(wanted.adapter)])
            made += self._generate([wanted])
        return made

    def together(self, asked: Sequence[Request]) -> int:
        """Tokens made, all questions in one batch."""
        names = [self.names[str(wanted.adapter)] for wanted in asked]
        return self._generate(asked, adapter_names=names)

    def _generate(self, asked: Sequence[Request], **options: Any) -> int:
        import torch

        ids = self.tokenizer.apply_chat_template(
            [list(wanted.messages) for wanted in asked],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
        )
        with torch.inference_mode():
            out = self.model.generate(
                **ids, max_new_tokens=asked[0].max_tokens, do_sample=False, **options
            )
        ends = self.tokenizer.eos_token_id
        return sum(_length(row, ends) for row in out[:, ids["input_ids"].shape[1] :].tolist())


def _length(row: list[int], end: int) -> int:
    return row.index(end) + 1 if end in row else len(row)


def one_by_one(engine: LocalEngine, asked: Sequence[Request]) -> list[Answer]:
    return [engine.submit(wanted).result() for wanted in asked]


def together(engine: LocalEngine, asked: Sequence[Request]) -> list[Answer]:
    handles = [engine.submit(wanted) for wanted in asked]
    return [handle.result() for handle in handles]


def from_threads(engine: LocalEngine, asked: Sequence[Request]) -> list[Answer]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda wanted: engine.submit(wanted).result(), asked))


def made(answers: Sequence[Answer]) -> int:
    return sum(answer.completion_tokens for answer in answers)


def speeds(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Tokens a second of each way, in its best round."""
    best = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            tokens = way()
            best[name] = max(best[name], tokens / (time.perf_counter() - start))
    return best


def throughput(base: Path, adapters: dict[str, Path], tokens: int, rounds: int) -> dict[str, float]:
    groups, bare = list(adapters), BarePeft(base, adapters)
    each = [request(n, groups, tokens) for n in range(len(groups))]
    four = [request(n, groups, tokens) for n in range(4 * len(groups))]
    with (
        LocalEngine(base, adapters, max_batch=len(each), trust_base=True) as narrow,
        LocalEngine(base, adapters, max_batch=len(four), trust_base=True) as wide,
    ):
        return speeds(
            {
                "bare PEFT, one by one": lambda: bare.one_by_one(each),
                "bare PEFT, one of each group together": lambda: bare.together(each),
                "bare PEFT, four of each group together": lambda: bare.together(four),
                "one by one": lambda: made(one_by_one(narrow, each)),
                "one of each group together": lambda: made(together(narrow, each)),
                "four of each group together": lambda: made(together(wide, four)),
            },
            rounds,
        )


def sameness(engine: LocalEngine, tokens: int) -> dict[str, str]:
    groups = list(engine.adapters)[:3]
    greedy = [request(n // 3, [groups[n % 3]], tokens) for n in range(60)]
    seeded = [request(n, groups, tokens, temperature=0.8, top_p=0.95, seed=n) for n in range(60)]
    found: dict[str, str] = {}
    for name, asked in (("greedy", greedy), ("seeded sampling", seeded)):
        alone = one_by_one(engine, asked)
        same = sum(a == b for a, b in zip(from_threads(engine, asked), alone, strict=True))
        texts = len({answer.text for answer in alone})
        found[f"{name}: threads = serial"] = f"{same}/60 ({texts} different texts)"
    return found


def delays(engine: LocalEngine, times: int) -> Iterator[tuple[str, list[float]]]:
    """In seconds: until the first token; and from cancelling to what follows from it."""
    groups = list(engine.adapters)
    first: list[float] = []
    told: list[float] = []
    free: list[float] = []
    for number in range(times):
        start = time.perf_counter()
        handle = engine.submit(request(number, groups, 300, stream=True))
        next(iter(handle), None)
        first.append(time.perf_counter() - start)
        waits = engine.submit(request(number + 1, groups, 1))
        time.sleep(0.01)
        start = time.perf_counter()
        handle.cancel()
        cancelled = handle.result().finish_reason == "cancelled"
        waited = time.perf_counter() - start
        waits.result()
        if cancelled:  # it did not end by itself before
            told.append(waited)
            free.append(time.perf_counter() - start)
    yield "first token", first
    yield "cancelled: the asker is told", told
    yield "cancelled: who waited is answered", free


def measure(base: Path, folder: Path, groups: int, tokens: int, rounds: int) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's, about transformers 6
        adapters = make_adapters(base, folder, groups)
        found: dict[str, Any] = {"tokens a second": throughput(base, adapters, tokens, rounds)}
    with LocalEngine(base, adapters, trust_base=True) as engine:
        one_by_one(engine, [request(0, list(adapters), 4)])  # warm
        found["equal answers"] = sameness(engine, tokens)
        found["milliseconds"] = {
            name: {"p50": 1000 * statistics.median(seen), "max": 1000 * max(seen)}
            for name, seen in delays(engine, 30)
        }
    return found


def show(found: dict[str, Any], console: Console) -> None:
    speed = found["tokens a second"]
    table = Table("tokens a second", "", "x one by one")
    for name, value in speed.items():
        table.add_row(name, f"{value:.0f}", f"{value / speed['one by one']:.2f}")
    console.print(table)
    table = Table("milliseconds", "p50", "max")
    for name, value in found["milliseconds"].items():
        table.add_row(name, f"{value['p50']:.1f}", f"{value['max']:.1f}")
    console.print(table)
    for name, value in found["equal answers"].items():
        console.print(f"{name}: {value}")
    console.print(f"promised: {PROMISE}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--base", type=Path, help="a model's folder; else the miniature is trained")
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=40, help="of each answer, at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    require("measure the serving of group models")
    import torch
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(1)
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        base = options.base or make_base(Path(scratch) / "base")
        found = measure(base, Path(scratch), options.groups, options.tokens, options.rounds)
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        show(found, Console())


if __name__ == "__main__":
    main()
