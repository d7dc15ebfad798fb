"""Fingerprints of a base, from hand-written files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from gpa_agent.alignment.fingerprints import chat_template, fingerprint, tensors, weights_sha256
from gpa_agent.errors import DataError, UsageError

WEIGHTS: dict[str, NDArray[Any]] = {
    "b": np.arange(4, dtype=np.float32),
    "a": np.ones((2, 3), dtype=np.float16),
}


def base(folder: Path) -> Path:
    folder.mkdir()
    save_file(WEIGHTS, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def test_how_weights_are_cut_into_files_does_not_matter(tmp_path: Path) -> None:
    whole = base(tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    for number, (name, tensor) in enumerate(WEIGHTS.items()):
        save_file(
            {name: tensor}, tmp_path / "cut" / f"model-{number}.safetensors", {"format": "pt"}
        )
    assert weights_sha256(whole) == weights_sha256(tmp_path / "cut")


@pytest.mark.parametrize(
    "changed",
    [
        {**WEIGHTS, "b": np.arange(1, 5, dtype=np.float32)},
        {**WEIGHTS, "a": np.ones((3, 2), dtype=np.float16)},
        {"c": WEIGHTS["b"], "a": WEIGHTS["a"]},
    ],
)
def test_another_value_shape_or_name_is_another_base(
    tmp_path: Path, changed: dict[str, NDArray[Any]]
) -> None:
    there = base(tmp_path / "base")
    before = weights_sha256(there)
    save_file(changed, there / "model.safetensors")
    assert weights_sha256(there) != before


@pytest.mark.parametrize(
    ("file", "field"),
    [("tokenizer.json", "tokenizer_sha256"), ("chat_template.jinja", "template_sha256")],
)
def test_tokenizer_and_template_count_too(tmp_path: Path, file: str, field: str) -> None:
    there = base(tmp_path / "base")
    before = fingerprint(there)
    (there / file).write_text("[1]")
    after = fingerprint(there)
    assert [
        name
        for name in before.model_dump()
        if before.model_dump()[name] != after.model_dump()[name]
    ] == [field]


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = base(tmp_path / "base") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="cut off"):
        tensors(path)
    path.write_bytes(b"\xff" * 4)
    with pytest.raises(DataError):
        tensors(path)


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(UsageError, match="pickles"):
        weights_sha256(tmp_path)


def test_a_template_is_found_in_the_tokenizers_settings_too(tmp_path: Path) -> None:
    there = base(tmp_path / "base")
    before = fingerprint(there)
    (there / "chat_template.jinja").unlink()
    (there / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert fingerprint(there) == before
    named = [{"name": "rag", "template": "x"}, {"name": "default", "template": "{{ messages }}"}]
    (there / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert fingerprint(there) == before


def test_a_base_without_chat_template_is_refused_with_a_remedy(tmp_path: Path) -> None:
    there = base(tmp_path / "base")
    (there / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match=r"no chat template.*instruction-tuned"):
        chat_template(there)
