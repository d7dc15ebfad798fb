"""What may be put on a base, and what is refused before it can serve."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpa_agent.alignment.serving.loading import load
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.errors import DataError, GPAError, UsageError
from tests.alignment.tiny_models import (
    ask,
    bare_text,
    groups,
    make_adapter,
    make_base,
    write_manifest_for,
)

__all__ = ["groups"]

Groups = tuple[Path, dict[str, Path]]


def refused(base: Path, folder: Path) -> str:
    with pytest.raises(DataError) as error:
        load(base, {"novice": folder}, trust_base=True)
    return str(error.value)


def altered(groups: Groups, folder: Path, alter: Callable[[Path], object]) -> Path:
    shutil.copytree(groups[1]["group 0"], folder)
    alter(folder)
    return folder


def test_without_a_manifest_the_base_must_be_trusted(groups: Groups) -> None:
    with pytest.raises(DataError, match=r"group 0.*trust_base=True"):
        load(*groups)


def test_with_our_manifest_it_need_not(groups: Groups, tmp_path: Path) -> None:
    ours = write_manifest_for(groups[0], groups[1]["group 0"], tmp_path / "ours")
    assert load(groups[0], {"novice": ours}).numbers == {None: 0, "novice": 1}


@pytest.mark.parametrize("what", ["tokenizer", "chat template"])
def test_the_tokenizer_and_the_template_must_be_the_same_too(
    groups: Groups, tmp_path: Path, what: str
) -> None:
    ours = write_manifest_for(groups[0], groups[1]["group 0"], tmp_path / "ours")
    base = tmp_path / "base"
    shutil.copytree(groups[0], base)
    name = {"tokenizer": "tokenizer.json", "chat template": "chat_template.jinja"}[what]
    (base / name).write_text((base / name).read_text() + " ")
    with pytest.raises(DataError, match=rf"another base.*{what}"):
        load(base, {"novice": ours})


def test_trusting_does_not_overrule_a_manifest(groups: Groups, tmp_path: Path) -> None:
    ours = write_manifest_for(groups[0], groups[1]["group 0"], tmp_path / "ours")
    assert "another base" in refused(make_base(tmp_path / "other", seed=5), ours)


def test_names_of_groups_may_be_any_text(groups: Groups) -> None:
    base, adapters = groups
    folders = list(adapters.values())
    strange = {"keys": folders[0], "v1.0 / \u65e5\u672c": folders[1], "__base__": folders[2]}
    with LocalEngine(base, strange, trust_base=True) as engine:
        said = {engine.submit(ask("why?", group)).result().text for group in (*strange, None)}
    assert len(said) == 4


def test_pickled_weights_are_refused(groups: Groups, tmp_path: Path) -> None:
    def pickle(folder: Path) -> None:
        (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    assert "safetensors" in refused(groups[0], altered(groups, tmp_path / "a", pickle))


@pytest.mark.parametrize(
    ("setting", "value"), [("use_dora", True), ("bias", "all"), ("modules_to_save", ["lm_head"])]
)
def test_what_is_more_than_plain_lora_cannot_be_mixed(
    groups: Groups, tmp_path: Path, setting: str, value: object
) -> None:
    more = make_adapter(groups[0], tmp_path / "more", seed=1, **{setting: value})
    assert f"LORA with {setting}" in refused(groups[0], more)


def test_adapters_of_other_layers_and_ranks_are_mixed(groups: Groups, tmp_path: Path) -> None:
    base, adapters = groups
    own = make_adapter(base, tmp_path / "own", seed=8, r=9, target_modules=["o_proj", "q_proj"])
    rooted = make_adapter(
        base, tmp_path / "rooted", seed=9, use_rslora=True, rank_pattern={"v_proj": 2}
    )
    both = {"own": own, "rooted": rooted, "other": adapters["group 0"]}
    with LocalEngine(base, both, trust_base=True) as engine:
        handles = [engine.submit(ask("why?", group)) for group in both]
        together = [handle.result().text for handle in handles]
    assert together == [bare_text(base, folder, "why?") for folder in both.values()]


def test_an_embedding_with_an_adapter_is_refused(groups: Groups, tmp_path: Path) -> None:
    odd = make_adapter(groups[0], tmp_path / "odd", seed=1, target_modules=["embed_tokens"])
    assert "embed_tokens" in refused(groups[0], odd)


def test_damaged_weights_are_refused(groups: Groups, tmp_path: Path) -> None:
    def cut(folder: Path) -> None:
        file = folder / "adapter_model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])

    assert "does not fit" in refused(groups[0], altered(groups, tmp_path / "a", cut))


def test_damaged_settings_are_refused(groups: Groups, tmp_path: Path) -> None:
    def break_off(folder: Path) -> None:
        (folder / "adapter_config.json").write_text("{")

    assert "adapter_config.json" in refused(groups[0], altered(groups, tmp_path / "a", break_off))


def test_weights_of_other_layers_are_refused(groups: Groups, tmp_path: Path) -> None:
    def rename(folder: Path) -> None:
        file = folder / "adapter_config.json"
        said = json.loads(file.read_text())
        file.write_text(json.dumps({**said, "target_modules": ["o_proj"]}))

    assert "does not fit" in refused(groups[0], altered(groups, tmp_path / "a", rename))


def test_an_adapter_of_another_size_is_refused(groups: Groups, tmp_path: Path) -> None:
    assert "does not fit" in refused(make_base(tmp_path / "wide", hidden=64), groups[1]["group 0"])


@pytest.mark.parametrize(
    ("spoil", "error", "told"),
    [
        (shutil.rmtree, UsageError, "no base"),
        (lambda base: (base / "chat_template.jinja").unlink(), UsageError, "no chat template"),
        (lambda base: (base / "model.safetensors").write_bytes(b"x"), DataError, "cannot load"),
        (lambda base: (base / "config.json").write_text("{}"), DataError, "cannot load"),
        (lambda base: (base / "tokenizer.json").write_text("{"), DataError, "cannot load"),
    ],
)
def test_a_base_that_is_none_is_refused(
    groups: Groups,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    error: type[GPAError],
    told: str,
) -> None:
    base = tmp_path / "base"
    shutil.copytree(groups[0], base)
    spoil(base)
    with pytest.raises(error, match=told):
        load(base, {})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_not_asked_for_in_vain(groups: Groups) -> None:
    with pytest.raises(UsageError, match="no GPU"):
        load(groups[0], {}, device="cuda")


def test_the_bases_own_sampling_settings_do_not_count(groups: Groups, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(groups[0], base)
    file = base / "generation_config.json"
    said = {**json.loads(file.read_text()), "do_sample": True, "repetition_penalty": 50.0}
    file.write_text(json.dumps(said))
    with LocalEngine(groups[0]) as plain, LocalEngine(base) as own:
        asked = ask("why? why? why?", max_tokens=60)
        assert own.submit(asked).result() == plain.submit(asked).result()


def test_every_end_of_text_of_the_base_counts(groups: Groups, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(groups[0], base)
    with LocalEngine(groups[0]) as plain:
        third = plain.tokenize(plain.submit(ask("why?")).result().text)
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, *set(third)]}))
    with LocalEngine(base) as ended:
        answer = ended.submit(ask("why?")).result()
    assert answer.finish_reason == "stop"
    assert answer.completion_tokens < 24
