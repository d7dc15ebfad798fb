"""The model card of an adapter: what it is, what it was made from, how to load it.

No text of a pair is in it, and no path of this machine.
"""

from __future__ import annotations

from pathlib import Path

from gpa_agent.alignment.manifest import Manifest

_METHODS = {
    "dpo": "direct preference optimization",
    "kto": "Kahneman-Tversky optimization on the logged answers",
    "kto-augmented": "Kahneman-Tversky optimization on logged answers and rubric twins",
    "sft": "supervised tuning on the chosen answers",
    "rs-sft": "supervised tuning on the chosen answers of the pairs with the widest reward margin",
    "rs-dpo": "direct preference optimization on the pairs with the widest reward margin",
}


def model_card(manifest: Manifest, *, hub: bool) -> str:
    """Write the card.

    Args:
        manifest: What is known of the run.
        hub: Whether the base is known by its name on the hub; a folder's path stays out.
    """
    base = manifest.base.name if hub else Path(manifest.base.name).name
    front = ["library_name: peft", "tags: [gpa-agent, lora]", "pipeline_tag: text-generation"]
    if hub:
        front.append(f"base_model: {base}")
    group = _line(manifest.group)
    return "\n".join(
        [
            *("---", *front, "---", ""),
            *(f"# Group model: {group}", ""),
            f"A LoRA adapter that answers as the group “{group}” prefers. It belongs to one base",
            "and is nothing without it; under another base of the same shape it gives bad text and",
            "no error, so compare the hashes.",
            "",
            *_table(manifest, base),
            *("", _verdict(manifest), ""),
            *_loading(base),
            *("", "The rows came from conversations of the app that this model was tuned for. It"),
            "may repeat what they say: treat it like the log it was made from.",
            "",
        ]
    )


def _table(manifest: Manifest, base: str) -> list[str]:
    config = manifest.config
    rubrics = ", ".join(f"{_line(i)} version {v}" for i, v in manifest.rubric_versions.items())
    rows = {
        "base": f"{base}, weights sha256 `{manifest.base.sha256}`",
        "tokenizer, chat template": f"sha256 `{manifest.base.tokenizer_sha256[:16]}…`, "
        f"`{manifest.base.template_sha256[:16]}…`",
        "method": _METHODS[manifest.method],
        "data": f"{manifest.data.pairs} pairs of {len(manifest.people)} people, "
        f"{manifest.data.held_out} held out; sha256 `{manifest.data.sha256[:16]}…`",
        "rubrics": rubrics or "none",
        "adapter": f"rank {config.rank}, alpha {config.alpha}, {', '.join(config.target_modules)}",
        "training": f"{config.epochs:g} epochs, learning rate {config.learning_rate:g}, "
        f"batch {config.batch_size * config.accumulate}, seed {config.seed}",
        "made with": ", ".join(f"{name} {v}" for name, v in manifest.packages.items()),
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _verdict(manifest: Manifest) -> str:
    verdict = manifest.verdict
    if not verdict.passed:
        return f"**Refused by the gate; do not serve it.** {_line('; '.join(verdict.reasons))}"
    end = "the end of training" if verdict.checkpoint == "final" else f"step {verdict.checkpoint}"
    figures = {k: v for k, v in verdict.figures.items() if isinstance(v, float | int)}
    told = ", ".join(f"{_line(name)} {value:.3g}" for name, value in figures.items())
    return f"Passed the gate with the weights of {end}. {told}".rstrip()


def _loading(base: str) -> list[str]:
    return [
        "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"base = {base!r}  # the folder or name of the base",
        "tokenizer = AutoTokenizer.from_pretrained(base, padding_side='left')",
        "model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), '.')",
        "```",
    ]


def _line(text: str) -> str:
    """A text that may come from a log, on one line and without markup."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("|", "/").replace("<", "(").replace(">", ")").replace("`", "'")
