"""Manifests: what counts as a finished run, and which one serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.fingerprints import Fingerprint
from gpa_agent.alignment.manifest import (
    MANIFEST,
    STALE,
    Manifest,
    inputs_digest,
    looks_at,
    numbered,
    people_digest,
    read_manifest,
    runs,
    serving,
    write_manifest,
)
from gpa_agent.errors import DataError
from tests.alignment.heap_world import heap_pairs
from tests.alignment.manifests import manifest

BASE = Fingerprint(sha256="a", tokenizer_sha256="b", template_sha256="c")


def put(group: Path, number: int, *, passed: bool = True) -> Path:
    folder = group / f"{number:04d}"
    write_manifest(folder, manifest(passed=passed))
    return folder


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    assert read_manifest(tmp_path) == manifest()


def test_people_stand_at_the_top_where_forgetting_looks(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    assert json.loads((tmp_path / MANIFEST).read_text())["people"] == ["p1", "p2"]


def test_the_newest_that_passed_serves(tmp_path: Path) -> None:
    put(tmp_path, 1)
    second = put(tmp_path, 2)
    put(tmp_path, 3, passed=False)
    (tmp_path / "0004").mkdir()  # torn: no manifest
    run = serving(tmp_path)
    assert run is not None
    assert run.path == second
    assert [r.path.name for r in runs(tmp_path)] == ["0003", "0002", "0001"]
    assert len(numbered(tmp_path)) == 4


def test_a_stale_run_does_not_serve(tmp_path: Path) -> None:
    (put(tmp_path, 1) / STALE).write_text("{}")
    assert serving(tmp_path) is None
    assert next(runs(tmp_path)).stale


def test_runs_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    put(tmp_path, 9999)
    newest = put(tmp_path, 10000)
    assert [path.name for path in numbered(tmp_path)] == ["9999", "10000"]
    run = serving(tmp_path)
    assert run is not None
    assert run.path == newest


def test_looks_are_counted_over_the_runs_on_the_same_people(tmp_path: Path) -> None:
    first, again, others = (put(tmp_path, number) for number in (1, 2, 3))
    for folder, people, looks in ((first, "a", 1), (again, "a", 8), (others, "b", 2)):
        made = read_manifest(folder)
        data = made.data.model_copy(update={"held_out_sha256": people, "looks": looks})
        write_manifest(folder, made.model_copy(update={"data": data}))
    (again / STALE).write_text("{}")  # must not serve any more, but was looked at

    assert looks_at(tmp_path, "a") == 9
    assert looks_at(tmp_path, "c") == 0


def test_the_people_count_and_not_their_words_nor_their_order() -> None:
    one, two = heap_pairs("novice", 2, held_out=0)
    other_words = one.model_copy(update={"chosen": two.chosen, "subject": "t:later:3"})

    assert people_digest([two, other_words, one]) == people_digest([one, two])
    assert people_digest([one]) != people_digest([one, two])


def test_a_damaged_manifest_is_an_error_and_never_serves(tmp_path: Path) -> None:
    folder = put(tmp_path, 1)
    (folder / MANIFEST).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_manifest(folder)
    assert serving(tmp_path) is None
    with pytest.raises(DataError, match="no finished group model"):
        read_manifest(tmp_path)


def test_what_forgetting_leaves_is_still_a_manifest() -> None:
    left = {**json.loads(manifest().model_dump_json()), "people": []}
    assert Manifest.model_validate(left).people == ()


def test_the_same_inputs_have_the_same_digest_wherever_the_base_lies() -> None:
    here = inputs_digest(BASE, "pairs", TuningConfig(base="here"), ["novice"])
    assert here == inputs_digest(BASE, "pairs", TuningConfig(base="there"), ["novice"])


@pytest.mark.parametrize(
    ("base", "pairs", "config", "groups"),
    [
        (BASE.model_copy(update={"template_sha256": "d"}), "pairs", {}, ["novice"]),
        (BASE, "other", {}, ["novice"]),
        (BASE, "pairs", {"seed": 1}, ["novice"]),
        (BASE, "pairs", {"gate": {"min_people": 3}}, ["novice"]),
        (BASE, "pairs", {}, ["novice", "expert"]),
    ],
)
def test_other_inputs_have_another_digest(
    base: Fingerprint, pairs: str, config: dict[str, object], groups: list[str]
) -> None:
    changed = TuningConfig.model_validate({"base": "here", **config})
    assert inputs_digest(base, pairs, changed, groups) != inputs_digest(
        BASE, "pairs", TuningConfig(base="here"), ["novice"]
    )
