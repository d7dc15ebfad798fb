"""G group models on one loaded base, beside G separate runs of TRL alone on the same pairs.

Run from the repository root::

    python benchmarks/group_training.py                  # 2, 4 and 8 groups
    python benchmarks/group_training.py --groups 2 --rows 64 --hidden 64

Each bare run is a process of ``bare_trl.py``, which uses TRL, PEFT and transformers and nothing of
ours: it loads the base, trains with the same settings and saves the adapter once. What is compared:

- *bitwise*: whether each group's weights are the same bytes either way;
- *wall* and *CPU*: seconds of everything: starting processes, loading the base, training, and on
  our side eight checkpoints to go back to, hashes of the base, a gate with few and short answers,
  curve, card and manifest. CPU seconds are the ones to look at on a machine that does other things;
- *MiB*: most memory a process had. Ours must not grow with the groups;
- *one more group*: CPU seconds that it adds on our side (all of the above but starting and
  loading), beside those of a bare run from making its trainer to its saved adapter: what our care
  costs.

The base is random: time and memory do not depend on what it says. Both sides run one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpa_agent.alignment.config import TARGETS, TuningConfig
from gpa_agent.alignment.deps import require
from gpa_agent.alignment.gating.verdict import GateConfig
from gpa_agent.alignment.pair import Pair, Said, folder_name, write_pairs
from gpa_agent.alignment.tuning.job import Folders
from gpa_agent.alignment.tuning.outcomes import Outcome
from gpa_agent.alignment.tuning.tuning import tune

ADAPTER = "adapter_model.safetensors"
BARE = Path(__file__).with_name("bare_trl.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """What one way of training took."""

    wall: float
    """Seconds of all processes, after one another."""
    cpu: float
    """Seconds that the processor was at them."""
    peak_bytes: int
    trained: float = 0.0
    """Mean CPU seconds of a group's training alone, where that is told."""


def make_base(folder: Path, hidden: int) -> Path:
    """Write a random Llama of four layers with a byte-level tokenizer."""
    require("make a base")
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        ["sort the list first, then print it"],
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=letters),
    )
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=special[0],
        eos_token=special[2],
        padding_side="left",
        chat_template=template,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_pairs(folder: Path, groups: Sequence[str], rows: int) -> None:
    """Write each group's pairs; ten held-out people for the gate."""
    for group in groups:
        pairs = [_pair(group, n, held_out=n >= rows) for n in range(rows + 20)]
        write_pairs(folder / f"{folder_name(group)}.jsonl", pairs)


def _pair(group: str, n: int, *, held_out: bool) -> Pair:
    return Pair(
        prompt=(Said(role="user", content=f"how is list {n} sorted and printed?"),),
        chosen=(Said(role="assistant", content=f"sort list {n} first, then print it, {group}"),),
        rejected=(Said(role="assistant", content=f"print list {n} and sort it later or never"),),
        subject=f"t:c{n}:0",
        person=f"{group}-{n}",
        group=group,
        intent="howto",
        split="holdout" if held_out else "train",
    )


def ours(base: Path, folders: Folders, batch: int, save_steps: int | None) -> Side:
    """All groups in one process of ours."""
    config = TuningConfig(
        base=str(base),
        device="cpu",
        batch_size=batch,
        learning_rate=1e-3,
        max_length=256,
        save_steps=save_steps,
        # It is not measured: nobody judges, and it refuses.
        gate=GateConfig(max_new_tokens=1, samples=1, min_people=2, min_prompts=2),
    )
    wall, cpu = time.monotonic(), children_seconds()
    report = tune(folders, config)
    _all_finished(report.groups)
    return Side(
        wall=time.monotonic() - wall,
        cpu=children_seconds() - cpu,
        peak_bytes=report.peak_bytes,
    )


def children_seconds() -> float:
    """CPU seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _all_finished(outcomes: Sequence[Outcome]) -> None:
    broken = [o for o in outcomes if o.status not in ("served", "refused")]
    if broken:
        raise SystemExit(f"{broken[0].group} {broken[0].status}: {broken[0].reasons}")


def bare(base: Path, folders: Folders, groups: Sequence[str], batch: int, out: Path) -> Side:
    """A process of TRL alone for each group."""
    settings = {
        "args": {
            "per_device_train_batch_size": batch,
            "learning_rate": 1e-3,
            "num_train_epochs": 1.0,
            "max_length": 256,
            "seed": 0,
            "beta": 0.1,
        },
        "lora": {"r": 8, "lora_alpha": 16, "target_modules": list(TARGETS)},
    }
    told: list[dict[str, float]] = []
    wall, cpu = time.monotonic(), children_seconds()
    for group in groups:
        name = folder_name(group)
        pairs = folders.pairs / f"{name}.jsonl"
        command = [sys.executable, *map(str, (BARE, base, pairs, out / name)), json.dumps(settings)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        told.append(json.loads(done.stdout.splitlines()[-1]))
    return Side(
        wall=time.monotonic() - wall,
        cpu=children_seconds() - cpu,
        peak_bytes=int(max(one["peak"] for one in told)),
        trained=sum(one["seconds"] for one in told) / len(told),
    )


def same_bytes(folders: Folders, groups: Sequence[str], out: Path) -> bool:
    """Whether every group's adapter is the same either way."""
    return all(
        (folders.finished(group) / "0001" / ADAPTER).read_bytes()
        == (out / folder_name(group) / ADAPTER).read_bytes()
        for group in groups
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--groups", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rows", type=int, default=192, help="pairs a group trains on")
    parser.add_argument("--hidden", type=int, default=128, help="width of the base")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--save-steps", type=int, help="steps between checkpoints; else an eighth")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    print("groups  bitwise  wall: ours   bare  ratio  CPU: ours   bare  ratio  MiB: ours  bare")
    sides: dict[int, tuple[Side, Side]] = {}
    with tempfile.TemporaryDirectory(prefix="gpa-bench-") as scratch:
        base = make_base(Path(scratch) / "base", options.hidden)
        for count in options.groups:
            place = Path(scratch) / str(count)
            groups = [f"group-{n}" for n in range(count)]
            make_pairs(place / "pairs", groups, options.rows)
            folders = Folders.of(place)
            theirs = bare(base, folders, groups, options.batch, place / "bare")
            mine = ours(base, folders, options.batch, options.save_steps)
            sides[count] = (mine, theirs)
            same = same_bytes(folders, groups, place / "bare")
            print(_line(count, mine, theirs, same=same), flush=True)
    few, many = min(sides), max(sides)
    if few < many:
        more = (sides[many][0].cpu - sides[few][0].cpu) / (many - few)
        trained = sides[many][1].trained
        print(
            f"one more group: {more:.2f} CPU s; a bare training {trained:.2f}, {more / trained:.2f}"
        )


def _line(count: int, mine: Side, theirs: Side, *, same: bool) -> str:
    return (
        f"{count:6}  {'yes' if same else 'NO':>7}  "
        f"{mine.wall:10.1f} {theirs.wall:6.1f} {mine.wall / theirs.wall:6.2f}  "
        f"{mine.cpu:9.1f} {theirs.cpu:6.1f} {mine.cpu / theirs.cpu:6.2f}  "
        f"{mine.peak_bytes / 2**20:9.0f} {theirs.peak_bytes / 2**20:5.0f}"
    )


if __name__ == "__main__":
    main()
