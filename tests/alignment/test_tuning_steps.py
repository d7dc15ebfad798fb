"""What the tuning process does for a group, followed in this process."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gpa_agent.alignment.fingerprints import weights_sha256
from gpa_agent.alignment.gating.verdict import Taxed
from gpa_agent.alignment.manifest import STALE, read_manifest, serving, write_manifest
from gpa_agent.alignment.pair import write_pairs
from gpa_agent.alignment.tuning.artifacts import publish, sweep
from gpa_agent.alignment.tuning.job import Folders, Job
from gpa_agent.alignment.tuning.outcomes import Event, Outcome
from gpa_agent.errors import DataError, UsageError
from gpa_agent.ledger import Busy
from gpa_agent.ledger.locks import FileLock
from tests.alignment.heap_world import (
    NOBODY,
    Heard,
    do_here,
    heap_pairs,
    make_speaking_base,
    settings,
    write_groups,
)

COLLAPSE = {"loss_type": ["sigmoid"], "learning_rate": 2e-2, "epochs": 3}
"""Settings under which the trainer's accuracy is 1.0 and the text is none."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speaking_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    write_groups(tmp_path / "pairs", "novice", "expert")
    return Folders.of(tmp_path)


@pytest.fixture
def job(base: Path, folders: Folders) -> Callable[..., Job]:
    def made(*groups: str, force: bool = False, dry_run: bool = False, **given: Any) -> Job:
        return Job(
            folders=folders,
            config=settings(base, **given),
            groups=groups or ("novice",),
            force=force,
            dry_run=dry_run,
        )

    return made


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Both groups, one after the other on one base; to be looked at and left alone."""
    folders = Folders.of(tmp_path_factory.mktemp("tuned"))
    write_groups(folders.pairs, "novice", "expert")
    done = do_here(Job(folders=folders, config=settings(base), groups=("novice", "expert")))
    assert {(o.status, o.exit_code) for o in done.values()} == {("served", 0)}
    return folders


def test_what_is_published_is_whole_readable_and_holds_no_pickle(tuned: Folders) -> None:
    folder = tuned.finished("novice") / "0001"
    assert {path.name for path in folder.iterdir()} == {
        *("adapter_model.safetensors", "adapter_config.json", "README.md"),
        *("curve.csv", "curve.png", "manifest.json"),
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert not tuned.work("novice").exists()


def test_the_manifest_says_what_it_was_made_from(tuned: Folders) -> None:
    made = read_manifest(tuned.finished("novice") / "0001")
    assert made.people == tuple(f"novice-{n:02d}" for n in range(48))  # held-out people: not
    assert (made.data.pairs, made.data.held_out) == (48, 24)
    assert made.counts == {"rows": 48, "steps": 12}
    assert made.wishes == {"howto": ()}
    assert made.rubric_versions == {"howto": 2}
    assert made.verdict.passed
    assert made.metrics["step"] == 12
    with (tuned.finished("novice") / "0001" / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == [str(n) for n in range(1, 13)]


def test_an_adapters_configuration_comes_out_in_one_order(tuned: Folders) -> None:
    text = (tuned.finished("novice") / "0001" / "adapter_config.json").read_text()
    said = json.loads(text)
    assert said["target_modules"] == sorted(said["target_modules"])
    assert list(said) == sorted(said)


def test_the_second_group_comes_out_as_if_it_were_alone(
    job: Callable[..., Job], folders: Folders, tuned: Folders
) -> None:
    # A changed base would have failed it before: hashes are compared after each group.
    do_here(job("expert"))
    together, alone = (f.finished("expert") / "0001" for f in (tuned, folders))
    name = "adapter_model.safetensors"
    assert (together / name).read_bytes() == (alone / name).read_bytes()


def test_computing_activations_again_changes_neither_weights_nor_base(
    job: Callable[..., Job], folders: Folders, tuned: Folders
) -> None:
    done = do_here(job("expert", "novice", gradient_checkpointing=True))
    assert {o.status for o in done.values()} == {"served"}
    name = "adapter_model.safetensors"
    kept, again = (f.finished("novice") / "0001" / name for f in (tuned, folders))
    assert kept.read_bytes() == again.read_bytes()


def test_a_group_without_another_says_what_was_not_looked_at(
    job: Callable[..., Job], folders: Folders
) -> None:
    (folders.pairs / "expert.jsonl").unlink()
    outcome = do_here(job(save_steps=100))["novice"]
    assert outcome.status == "served"
    assert "no other group" in outcome.notes[0]
    write_groups(folders.pairs, "expert")
    # The gate has not looked yet whether it wins for them too.
    assert do_here(job(save_steps=100, dry_run=True))["novice"].status == "planned"


@pytest.mark.parametrize("method", ["kto", "kto-augmented", "sft", "rs-sft", "rs-dpo"])
def test_every_method_ends_in_a_model_that_passes(job: Callable[..., Job], method: str) -> None:
    given = {"learning_rate": 1e-2} if method.startswith("kto") else {}
    outcome = do_here(job(method=method, **given))["novice"]
    assert outcome.status == "served", outcome.reasons
    rows = {"kto": 48, "kto-augmented": 96, "sft": 48, "rs-sft": 28, "rs-dpo": 28}  # 48 x 0.6
    assert outcome.rows == rows[method]
    assert outcome.counts == (
        {"outside_the_widest_margins": 20} if method.startswith("rs-") else {}
    )
    # Two sentences are easily told apart.
    told = "prefers the chosen answer in 100% of the pairs"
    assert any(told in note for note in outcome.notes) == method.startswith("rs-")
    by = "the reward model reads answers by "
    assert any(note.startswith(by) for note in outcome.notes) == method.startswith("rs-")


def test_perfect_figures_over_gibberish_are_refused(
    job: Callable[..., Job], folders: Folders
) -> None:
    outcome = do_here(job(save_steps=1000, **COLLAPSE))["novice"]
    assert outcome.metrics["rewards/accuracies"] == 1.0
    assert outcome.metrics["rewards/margins"] > 5
    assert (outcome.status, outcome.exit_code) == ("refused", 4)
    assert any("coherent" in reason for reason in outcome.reasons)
    assert serving(folders.finished("novice")) is None
    assert "Refused" in (folders.finished("novice") / "0001" / "README.md").read_text()


def test_a_run_that_collapsed_serves_with_the_weights_from_before(
    job: Callable[..., Job], folders: Folders
) -> None:
    outcome = do_here(job(**COLLAPSE))["novice"]
    assert outcome.status == "served", outcome.reasons
    assert outcome.checkpoint in (3, 6)  # checkpoints stand 3 steps apart, of 18
    assert outcome.metrics["step"] == outcome.checkpoint
    made = read_manifest(folders.finished("novice") / "0001")
    assert made.verdict.checkpoint == outcome.checkpoint


def test_the_same_inputs_are_not_tuned_twice(job: Callable[..., Job]) -> None:
    do_here(job())
    again = do_here(job())["novice"]
    assert (again.status, again.checkpoint, again.rows) == ("skipped", "final", 48)
    assert do_here(job(force=True))["novice"].status == "served"


def test_another_seed_does_not_begin_with_new_people(
    job: Callable[..., Job], folders: Folders
) -> None:
    usual = {"save_steps": 100}
    do_here(job(judge=NOBODY, **usual))
    assert do_here(job(seed=1, **usual))["novice"].status == "served"
    made = [read_manifest(folders.finished("novice") / name).data for name in ("0001", "0002")]
    assert [data.looks for data in made] == [1, 1]
    assert len({data.held_out_sha256 for data in made}) == 1
    worn = made[0].model_copy(update={"looks": 14})
    first = folders.finished("novice") / "0001"
    write_manifest(first, read_manifest(first).model_copy(update={"data": worn}))
    assert do_here(job(seed=1, **usual))["novice"].status == "skipped"
    heard = Heard()
    for asked in (job(seed=1, force=True, **usual), job(seed=2, dry_run=True, **usual)):
        assert "too often on the same people: 15 times" in failure(do_here(asked, heard)["novice"])
    assert not any(event.stage == "training" for event in heard.told)


def counts_to_ten(model: Any, tokenizer: Any) -> Taxed:
    """A check of abilities that minds."""
    adapted = model.active_adapter == "default" and tokenizer.eos_token_id is not None
    return Taxed(("counts to ten no more",) if adapted else (), {"counting": 0.2})


def test_a_check_of_abilities_that_a_setting_names_refuses(job: Callable[..., Job]) -> None:
    named = f"{__name__}:counts_to_ten"
    outcome = do_here(job(taxes=[named], save_steps=100))["novice"]
    assert (outcome.status, outcome.reasons) == ("refused", ("counts to ten no more",))
    assert outcome.figures["counting"] == 0.2
    with pytest.raises(UsageError, match="no check of abilities"):
        do_here(job(taxes=[f"{__name__}:COLLAPSE"]))


def test_kto_on_labels_of_one_kind_is_told(job: Callable[..., Job], folders: Folders) -> None:
    pleased = [pair.model_copy(update={"judgment": 1}) for pair in heap_pairs("novice")]
    write_pairs(folders.pairs / "novice.jsonl", pleased)
    (note,) = do_here(job(method="kto", dry_run=True))["novice"].notes
    assert "all rows are answers that pleased" in note


def test_what_is_asked_for_last_serves(job: Callable[..., Job], folders: Folders) -> None:
    for seed in (0, 1, 0):
        do_here(job(seed=seed))
    run = serving(folders.finished("novice"))
    assert run is not None
    assert (run.path.name, run.manifest.seed) == ("0003", 0)


def test_what_was_refused_is_refused_again_without_training(job: Callable[..., Job]) -> None:
    assert do_here(job(judge=NOBODY))["novice"].status == "refused"
    heard = Heard()
    again = do_here(job(judge=NOBODY), heard)["novice"]
    assert (again.status, again.exit_code) == ("refused", 4)
    assert "before" in again.notes[0]
    assert not any(event.stage == "training" for event in heard.told)


def test_a_stale_run_is_tuned_again(job: Callable[..., Job], folders: Folders) -> None:
    do_here(job())
    (folders.finished("novice") / "0001" / STALE).write_text("{}")
    assert do_here(job())["novice"].folder == folders.finished("novice") / "0002"


class Forgets(Heard):
    """Does something, such as forgetting, once training has begun."""

    def __init__(self, forget: Callable[[], object]) -> None:
        super().__init__()
        self._forget = forget
        self.steps = 0

    def tell(self, event: Event) -> None:
        super().tell(event)
        if event.stage == "training":
            self.steps += 1
            self._forget()


def one_less(folders: Folders) -> None:
    left = [pair for pair in heap_pairs("novice") if pair.person != "novice-07"]
    write_pairs(folders.pairs / "novice.jsonl", left)


def test_a_person_forgotten_while_it_is_tuned_is_in_nothing_that_is_published(
    job: Callable[..., Job], folders: Folders
) -> None:
    outcome = do_here(job(), Forgets(lambda: one_less(folders)))["novice"]
    assert "forgotten" in failure(outcome)
    assert not folders.finished("novice").exists()
    assert not folders.work("novice").exists()  # checkpoints have learned from them too
    again = do_here(job())["novice"]
    assert again.status == "served"
    assert "novice-07" not in read_manifest(folders.finished("novice") / "0001").people


def test_training_ends_where_forgetting_took_its_work_away(
    job: Callable[..., Job], folders: Folders
) -> None:
    forgets = Forgets(lambda: shutil.rmtree(folders.models / "work"))
    assert "forgotten" in failure(do_here(job(save_steps=100), forgets)["novice"])
    assert forgets.steps == 1
    assert not folders.work("novice").exists()


@pytest.mark.parametrize("left", ["some", "none"])
def test_whoever_is_forgotten_while_it_is_published_is_in_nothing_that_stays(
    job: Callable[..., Job], folders: Folders, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    def publish_late(*given: Any) -> Path:
        folder = publish(*given)
        one_less(folders) if left == "some" else (folders.pairs / "novice.jsonl").unlink()
        return folder

    monkeypatch.setattr("gpa_agent.alignment.tuning.runner.publish", publish_late)
    assert "forgotten" in failure(do_here(job(save_steps=100))["novice"])
    assert list(folders.finished("novice").iterdir()) == []
    assert not folders.work("novice").exists()


def test_a_base_in_ones_home_is_known_by_its_folder(
    job: Callable[..., Job], folders: Folders, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(base.parent))
    config = settings(Path("~") / base.name, save_steps=100)
    do_here(job().model_copy(update={"config": config}))
    assert read_manifest(folders.finished("novice") / "0001").base.name == str(base)


def test_layers_that_the_base_does_not_have_are_told(job: Callable[..., Job]) -> None:
    with pytest.raises(UsageError, match=r"no layers called c_attn.*target_modules"):
        do_here(job(target_modules=("c_attn",)))


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    job: Callable[..., Job], folders: Folders
) -> None:
    planned = do_here(job("novice", "expert", dry_run=True))
    assert {o.status for o in planned.values()} == {"planned"}
    assert (planned["novice"].rows, planned["novice"].steps) == (48, 12)  # 48 / 8 x 2
    assert do_here(job(dry_run=True, method="rs-dpo"))["novice"].rows == 28
    assert not folders.models.exists()


def test_rows_that_are_too_long_are_counted_and_said(
    job: Callable[..., Job], folders: Folders
) -> None:
    pairs = heap_pairs("novice")
    longer = pairs[0].chosen[0].model_copy(update={"content": "heap " * 100})
    write_pairs(
        folders.pairs / "novice.jsonl",
        [pairs[0].model_copy(update={"chosen": (longer,)}), *pairs[1:]],
    )
    planned = do_here(job(dry_run=True))["novice"]
    assert (planned.rows, planned.counts) == (47, {"answer_too_long": 1})


def failure(outcome: Outcome) -> str:
    assert (outcome.status, outcome.exit_code) == ("failed", 3)
    return outcome.reasons[0]


def test_a_group_whose_pairs_will_not_do_costs_that_group(
    job: Callable[..., Job], folders: Folders
) -> None:
    write_pairs(
        folders.pairs / "novice.jsonl", [p for p in heap_pairs("novice") if p.split == "train"]
    )
    done = do_here(job("novice", "expert"))
    assert "too few" in failure(done["novice"])
    assert done["expert"].status == "served"


def test_no_row_that_fits_is_said_before_anything_is_written(
    job: Callable[..., Job], folders: Folders
) -> None:
    assert "prompt_too_long" in failure(do_here(job(max_length=8))["novice"])
    assert not folders.finished("novice").exists()


def test_a_pair_of_another_group_is_bad_data(job: Callable[..., Job], folders: Folders) -> None:
    write_pairs(folders.pairs / "novice.jsonl", heap_pairs("expert"))
    assert "line 1" in failure(do_here(job())["novice"])


def test_a_base_without_chat_template_is_refused(job: Callable[..., Job], tmp_path: Path) -> None:
    from tests.alignment.tiny_models import make_base

    plain = make_base(tmp_path / "plain")
    (plain / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="no chat template"):
        do_here(job().model_copy(update={"config": settings(plain)}))


def test_a_gpu_that_is_not_there_is_refused(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for asked in ({"device": "cuda"}, {"device": "auto", "quantization": "4bit"}):
        with pytest.raises(UsageError, match="a GPU is asked for"):
            do_here(job(**asked))


def test_a_wrong_judge_is_met_before_training(job: Callable[..., Job]) -> None:
    heard = Heard()
    with pytest.raises(UsageError, match="no judge"):
        do_here(job(judge="tests.nowhere:Judge"), heard)
    assert not any(event.stage == "training" for event in heard.told)


def test_two_do_not_tune_into_one_folder(job: Callable[..., Job], folders: Folders) -> None:
    folders.models.mkdir()
    lock = FileLock(folders.models / "finetune.lock", lambda: datetime.now(UTC))
    assert lock.take()
    try:
        with pytest.raises(Busy, match="is tuning into"):
            do_here(job())
    finally:
        lock.release()


def test_folders_that_were_being_written_are_swept(
    job: Callable[..., Job], folders: Folders
) -> None:
    torn = folders.finished("novice") / "0001"
    torn.mkdir(parents=True)
    (torn / "adapter_model.safetensors").write_bytes(b"half")
    assert do_here(job())["novice"].status == "served"
    assert weights_sha256(torn)  # the number was free again
    assert sweep(folders.finished("novice")) == 0


def test_pairs_that_are_none_end_the_reading_with_the_line(folders: Folders) -> None:
    (folders.pairs / "novice.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1"):
        folders.pairs_of("novice")
