"""Pairs as other tools read them; TRL's own loader and trainer take ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpa_agent import Workspace
from gpa_agent.alignment.pair import Pair, Said
from gpa_agent.alignment.pairs.exporting import export_pairs
from gpa_agent.alignment.pairs.formats import axolotl_row, dataset_entry, llama_factory_row, trl_row
from gpa_agent.alignment.pairs.making import make_pairs, pairs_file
from gpa_agent.errors import DataError, UsageError
from tests.alignment.pairs_support import ingest, open_workspace, recorded_pair

TALK = (
    Said(role="system", content="Be kind."),
    Said(role="user", content="hi"),
    Said(role="assistant", content="Hello."),
    Said(role="user", content="Why?"),
)
PAIR = Pair(
    prompt=TALK,
    chosen=(Said(role="assistant", content="Because."),),
    rejected=(Said(role="assistant", content="No."),),
    subject="t:c:1",
    person="hash",
    group="novice",
    intent="debugging",
)


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose pairs are those of its log."""
    with open_workspace(tmp_path / "ws") as opened:
        log = [recorded_pair(f"n{n}", user=f"u{n}") for n in range(20)]
        log += [recorded_pair(f"e{n}", user=f"v{n}", group="expert") for n in range(20)]
        odd = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
        odd = [{"role": "assistant", "content": "Hello!"}, *odd, {"role": "user", "content": "3"}]
        ingest(opened, tmp_path / "log", *log, recorded_pair("odd", prompt=odd))
        make_pairs(opened)
        yield opened


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_row_for_trl_is_the_conversational_preference_format() -> None:
    row = trl_row(PAIR)
    assert row["prompt"][-1] == {"role": "user", "content": "Why?"}
    assert row["chosen"] == [{"role": "assistant", "content": "Because."}]
    assert row["rejected"] == [{"role": "assistant", "content": "No."}]
    assert row["subject"] == "t:c:1"


def test_a_row_for_llama_factory_is_its_sharegpt_format_with_ranking() -> None:
    row = llama_factory_row(PAIR)
    assert row == {
        "conversations": [
            {"from": "system", "value": "Be kind."},
            {"from": "human", "value": "hi"},
            {"from": "gpt", "value": "Hello."},
            {"from": "human", "value": "Why?"},
        ],
        "chosen": {"from": "gpt", "value": "Because."},
        "rejected": {"from": "gpt", "value": "No."},
        "subject": "t:c:1",
    }
    assert dataset_entry("novice-train.jsonl") == {
        "file_name": "novice-train.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    }


def test_what_llama_factory_would_skip_is_no_row() -> None:
    twice = (*TALK[:2], TALK[3])
    for prompt in (TALK[2:], TALK[:3], twice, TALK[:1]):
        assert llama_factory_row(PAIR.model_copy(update={"prompt": prompt})) is None
    assert llama_factory_row(PAIR.model_copy(update={"prompt": TALK[1:]})) is not None


def test_a_row_for_axolotl_has_the_columns_of_its_default_chat_template() -> None:
    row = axolotl_row(PAIR)
    assert row["messages"][0] == {"role": "system", "content": "Be kind."}
    assert row["chosen"] == {"role": "assistant", "content": "Because."}
    assert row["rejected"] == {"role": "assistant", "content": "No."}


def test_each_group_and_part_has_its_file(ws: Workspace, tmp_path: Path) -> None:
    exported = export_pairs(ws, "trl", tmp_path / "out")
    assert {Path(f).name for f in exported.files} == {
        f"{group}-{part}.jsonl" for group in ("expert", "novice") for part in ("train", "holdout")
    }
    assert sum(exported.files.values()) == 41
    assert all(len(lines(Path(f))) == rows for f, rows in exported.files.items())
    subjects = [row["subject"] for f in exported.files for row in lines(Path(f))]
    assert len(set(subjects)) == 41
    registered = {str(export.path) for export in ws.ledger.exports()}
    assert set(exported.files) <= registered


def test_llama_factory_learns_the_names_beside_those_it_knows(
    ws: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset_info.json").write_text('{"identity": {"file_name": "identity.json"}}')
    exported = export_pairs(ws, "llama-factory", out)
    known = json.loads((out / "dataset_info.json").read_text())
    assert known["identity"] == {"file_name": "identity.json"}
    assert set(exported.datasets) == set(known) - {"identity"}
    for name in exported.datasets:
        assert (out / known[name]["file_name"]).exists()
    assert exported.left_out == 1
    assert sum(exported.files.values()) == 40


def test_a_list_of_data_sets_that_is_none_is_left_alone(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("not JSON")
    with pytest.raises(DataError, match=r"dataset_info\.json"):
        export_pairs(ws, "llama-factory", tmp_path)
    assert (tmp_path / "dataset_info.json").read_text() == "not JSON"


def test_without_pairs_it_says_how_to_make_them(ws: Workspace, tmp_path: Path) -> None:
    with open_workspace(tmp_path / "empty") as empty:
        with pytest.raises(UsageError, match="gpa pairs"):
            export_pairs(empty, "trl", tmp_path / "out")
        with pytest.raises(UsageError, match="gpa pairs"):
            export_pairs(empty, "trl", tmp_path / "out", groups=["novice"])
    assert not (tmp_path / "out").exists()
    only = export_pairs(ws, "trl", tmp_path / "out", groups=["novice"])
    assert {Path(f).name.partition("-")[0] for f in only.files} == {"novice"}


def test_what_is_no_pair_any_more_leaves_its_file(ws: Workspace, tmp_path: Path) -> None:
    export_pairs(ws, "trl", tmp_path / "out")
    kept = [line for line in lines(pairs_file(ws, "novice")) if line["split"] == "train"]
    pairs_file(ws, "novice").write_text("".join(json.dumps(line) + "\n" for line in kept))
    exported = export_pairs(ws, "trl", tmp_path / "out")
    assert not (tmp_path / "out" / "novice-holdout.jsonl").exists()
    assert len(exported.files) == 3


@pytest.fixture
def trl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in ("TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    pytest.importorskip("torch")
    return pytest.importorskip("trl")


TEMPLATE = (
    "{% for m in messages %}<s> {{ m.role }} {{ m.content }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<s> assistant {% endif %}"
)


def tokenizer() -> Any:
    """Knows its own marks, and that there are words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", "user", "assistant"])}
    words = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="</s>",
        eos_token="</s>",
        chat_template=TEMPLATE,
    )


@pytest.mark.filterwarnings("default")
def test_trls_own_loader_and_trainer_read_pairs_and_their_export(
    ws: Workspace, tmp_path: Path, trl: Any
) -> None:
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    exported = tmp_path / "out" / "novice-train.jsonl"
    export_pairs(ws, "trl", tmp_path / "out")
    for path in (pairs_file(ws, "novice"), exported):
        rows = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path))
        assert len(rows) == len(lines(path))
        assert trl.is_conversational(rows[0])
        shown = trl.apply_chat_template(rows[0], tokenizer())
        assert shown["prompt"].endswith("<s> assistant ")
        assert shown["chosen"].rstrip().endswith("</s>")
    tiny = LlamaConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    config = trl.DPOConfig(output_dir=str(tmp_path / "run"), use_cpu=True, bf16=False)
    trainer = trl.DPOTrainer(
        LlamaForCausalLM(tiny),
        args=config,
        train_dataset=rows,
        processing_class=tokenizer(),
        peft_config=LoraConfig(r=1, target_modules=["q_proj"]),
    )
    assert len(trainer.train_dataset) == len(rows)
    first = trainer.train_dataset[0]
    assert {"prompt_ids", "chosen_ids", "rejected_ids"} <= set(first)
    # "<s> user Plan n1 for me </s> <s> assistant": nine words.
    assert len(first["prompt_ids"]) == 9
