"""Tuning as its caller sees it: a process that may be killed at any moment."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpa_agent.alignment.config import TuningConfig
from gpa_agent.alignment.manifest import numbered, read_manifest, serving
from gpa_agent.alignment.tuning.checkpoints import ADAPTER, is_whole, step_of
from gpa_agent.alignment.tuning.job import Folders
from gpa_agent.alignment.tuning.outcomes import Outcome
from gpa_agent.alignment.tuning.tuning import TuneReport, launch_command, make_job, tune
from gpa_agent.errors import DataError, ModelError, StoreError, UsageError
from tests.alignment.heap_world import make_speaking_base, settings, write_groups

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
ROOT = Path(__file__).parents[2]
Stop = Callable[[str, int], bool]
"""Whether a process is to be killed at (stage, done)."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speaking_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture(autouse=True)
def _judge_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of these tests is no part of the package that the process runs."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    write_groups(tmp_path / "pairs", "novice", "expert")
    return Folders.of(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Both groups tuned in one go."""
    folders = Folders.of(tmp_path_factory.mktemp("undisturbed"))
    write_groups(folders.pairs, "novice", "expert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        report = tune(folders, settings(base))
    assert [(o.group, o.status) for o in report.groups] == [
        ("expert", "served"),
        ("novice", "served"),
    ]
    assert report.exit_code == 0
    assert report.peak_bytes > 100 << 20  # torch alone takes more
    return folders


def weights(folders: Folders, group: str) -> bytes:
    run = serving(folders.finished(group))
    assert run is not None
    return (run.path / ADAPTER).read_bytes()


def _noted(stages: list[str], stage: str) -> bool:
    stages.append(stage)
    return True


def children() -> list[int]:
    """Processes that this one started and that still run."""
    listed = (path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return [int(pid) for line in listed for pid in line.split()]


def killed_at(folders: Folders, config: TuningConfig, stop: Stop, *groups: str) -> TuneReport:
    """Tune, with kill -9 for the process when it comes to a point, once."""
    done: list[str] = []

    def kill(stage: str, at: int, _: int | None) -> None:
        if not done and stop(stage, at):
            done.append(stage)
            for child in children():
                os.kill(child, signal.SIGKILL)

    report = tune(folders, config, groups=groups or ("novice",), progress=kill)
    assert done
    return report


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_weights(
    base: Path, folders: Folders, undisturbed: Folders
) -> None:
    config = settings(base)
    with pytest.raises(ModelError, match=r"was killed.*before it began"):
        killed_at(folders, config, lambda stage, _: stage == "reading the base")
    report = killed_at(folders, config, lambda stage, at: (stage, at) == ("novice: training", 7))
    assert "goes on from the newest" in report.groups[0].reasons[0]
    assert report.exit_code == 4
    (work,) = folders.work("novice").iterdir()
    newest = max(work.glob("checkpoint-*"), key=step_of)
    assert is_whole(newest)
    torn = newest / ADAPTER
    torn.write_bytes(torn.read_bytes()[:-100])  # as if killed while it was being written

    stages: list[str] = []
    killed_at(folders, config, lambda stage, _: _noted(stages, stage) and "gate" in stage)
    first = next(stage for stage in stages if "training" in stage)
    assert first == "novice: training"
    torn_publish = folders.finished("novice") / "0001"
    torn_publish.mkdir(parents=True)
    (torn_publish / ADAPTER).write_bytes(b"half")  # as if killed while publishing
    assert serving(folders.finished("novice")) is None

    last = tune(folders, config, groups=["novice"])
    assert last.groups[0].status == "served"
    assert weights(folders, "novice") == weights(undisturbed, "novice")
    assert [path.name for path in numbered(folders.finished("novice"))] == ["0001"]
    assert not folders.work("novice").exists()


@pytest.mark.slow
def test_a_process_that_dies_costs_one_group(
    base: Path, folders: Folders, undisturbed: Folders
) -> None:
    report = killed_at(
        folders, settings(base), lambda stage, at: stage == "expert: training", "expert", "novice"
    )
    assert [(o.group, o.status) for o in report.groups] == [
        ("expert", "failed"),
        ("novice", "served"),
    ]
    assert weights(folders, "novice") == weights(undisturbed, "novice")
    assert serving(folders.finished("expert")) is None


@pytest.mark.slow
def test_it_ends_with_whoever_started_it(base: Path, folders: Folders) -> None:
    def interrupt(stage: str, at: int, _: int | None) -> None:
        if "training" in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(folders, settings(base), groups=["novice"], progress=interrupt)
    assert children() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that a few checkpoints fill."""
    point = tmp_path / "disk"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(point)]
    if os.name == "nt" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield point
    subprocess.run(["umount", str(point)], check=True)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written_and_more_space_goes_on(
    base: Path, folders: Folders, undisturbed: Folders, small_disk: Path
) -> None:
    there = Folders(pairs=folders.pairs, models=small_disk)
    with pytest.raises(StoreError, match="free some space"):
        tune(there, settings(base), groups=["novice"])
    assert not list(small_disk.rglob("manifest.json"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert tune(there, settings(base), groups=["novice"]).groups[0].status == "served"
    assert weights(there, "novice") == weights(undisturbed, "novice")


def test_there_must_be_pairs_of_two_groups_or_one_that_is_named(tmp_path: Path, base: Path) -> None:
    folders = Folders.of(tmp_path)
    with pytest.raises(DataError, match=r"no pairs.*gpa pairs"):
        make_job(folders, settings(base))
    write_groups(folders.pairs, "novice")
    with pytest.raises(DataError, match="--group 'novice'"):
        make_job(folders, settings(base))
    assert make_job(folders, settings(base), groups=["novice"]).groups == ("novice",)
    with pytest.raises(UsageError, match="'expert'; there are of 'novice'"):
        make_job(folders, settings(base), groups=["expert"])


def test_the_line_for_several_gpus_names_a_job_that_can_be_read(
    folders: Folders, base: Path
) -> None:
    job = make_job(folders, settings(base))
    line = launch_command(job, processes=4).split()
    assert line[:4] == ["accelerate", "launch", "--num_processes", "4"]
    assert type(job).model_validate_json(Path(line[-1]).read_bytes()) == job
    beside = folders.models / "it's; my $(models)"
    odd = job.model_copy(update={"folders": folders.model_copy(update={"models": beside})})
    assert Path(shlex.split(launch_command(odd))[-1]).is_file()


def test_a_judge_is_found_where_one_works_and_nothing_there_takes_a_librarys_place(
    folders: Folders, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trl.py").write_text("raise SystemExit")
    (tmp_path / "my_judges.py").write_text("class Mine: ...\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="'my_judges:Mine' is no judge: it needs score"):
        tune(folders, settings(base, judge="my_judges:Mine"), groups=["novice"])


def test_a_report_fails_with_what_failed_before_what_was_refused() -> None:
    def report(*outcomes: Outcome) -> int:
        return TuneReport(base="b", method="dpo", groups=outcomes, seconds=0).exit_code

    refused = Outcome(group="a", status="refused", exit_code=4)
    failed = Outcome(group="b", status="failed", exit_code=3)
    assert report(refused) == 4
    assert report(refused, failed) == 3
    assert report() == 0


def test_the_published_manifest_is_the_last_word(undisturbed: Folders) -> None:
    assert list((undisturbed.models / "work").iterdir()) == []
    made = read_manifest(undisturbed.finished("expert") / "0001")
    assert made.group == "expert"
    assert set(made.packages) >= {"gpa-agent", "torch", "transformers", "trl", "peft", "datasets"}
