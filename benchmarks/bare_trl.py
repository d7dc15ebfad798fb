"""One adapter by TRL alone: what `benchmarks/group_training.py` is measured beside.

Uses nothing of ours. Arguments: the base's folder, a file of pairs, where to write, and settings
of trainer and adapter as JSON. Prints the processor's seconds from making the trainer to the saved
adapter, and the most memory it had.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TQDM_DISABLE="1")

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer


def main(base: str, pairs: str, out: str, settings: str) -> None:
    """Train and save."""
    given = json.loads(settings)
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(base)
    lines = [json.loads(line) for line in Path(pairs).read_text(encoding="utf-8").splitlines()]
    columns = ("prompt", "chosen", "rejected")
    rows = [{name: line[name] for name in columns} for line in lines if line["split"] == "train"]
    started = time.process_time()
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=out,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            loss_type=["sigmoid", "sft"],
            **given["args"],
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **given["lora"]),
    )
    trainer.train()
    trainer.save_model(out)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
