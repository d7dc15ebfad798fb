"""Learning curves as a table and a picture, and the model card."""

from __future__ import annotations

import builtins
import csv
import io
from typing import Any

import pytest

from gpa_agent.alignment.tuning.card import model_card
from gpa_agent.alignment.tuning.curves import as_csv, as_picture, metrics_at
from tests.alignment.manifests import manifest

HISTORY: list[dict[str, Any]] = [
    {"step": 1, "epoch": 0.5, "loss": 0.7, "logps/chosen": -5.0},
    {"step": 2, "epoch": 1.0, "loss": 0.5, "rewards/margins": 0.3},
    {"step": 2, "epoch": 1.0, "train_runtime": 3.0, "train_loss": 0.6},
]


def test_the_table_has_a_row_a_logged_step_and_a_column_for_everything() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(HISTORY).decode())))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == ["step", "epoch", "logps/chosen", "loss", "rewards/margins"]
    assert (rows[0]["rewards/margins"], rows[1]["logps/chosen"]) == ("", "")


def test_figures_of_a_step_are_those_logged_last() -> None:
    assert metrics_at(HISTORY, 1)["loss"] == 0.7
    assert metrics_at(HISTORY, 9)["loss"] == 0.5
    assert metrics_at(HISTORY, 0) == {}


def test_a_figure_that_is_not_a_number_is_in_the_table_alone() -> None:
    history = [{"step": 1, "epoch": 1.0, "loss": float("nan"), "grad_norm": float("inf")}]
    assert metrics_at(history, 1) == {"step": 1, "epoch": 1.0}
    assert b"1,1.0,inf,nan" in as_csv(history)


def test_the_picture_is_a_png_whatever_the_group_is_called() -> None:
    picture = as_picture(HISTORY, "$\\frac{ <b>novice")
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert as_picture(HISTORY, "novice") is None


def test_the_card_tells_what_it_is_and_no_path_of_this_machine() -> None:
    card = model_card(manifest(base="/home/me/secret/my-base"), hub=False)
    assert "/home/me" not in card
    assert "my-base" in card
    assert "1" * 64 in card
    assert "howto version 3" in card
    assert "Passed the gate" in card


def test_no_group_writes_the_card() -> None:
    made = manifest()
    figures = {"win": 0.9, "win:x\n# Owned | <script>`": 0.1}
    verdict = made.verdict.model_copy(update={"figures": figures})
    card = model_card(made.model_copy(update={"verdict": verdict}), hub=False)
    assert "win:x # Owned / (script)' 0.1" in card


def test_the_card_of_a_refused_model_says_so_first() -> None:
    card = model_card(manifest(passed=False), hub=False)
    assert "**Refused by the gate; do not serve it.** its text is no text" in card


def test_a_name_from_a_log_stays_text_on_one_line() -> None:
    card = model_card(manifest(group="x\n# Owned | <script>`"), hub=True)
    assert "\n# Owned" not in card
    assert "<script>" not in card
    assert "base_model: /models/base" in card
