"""A satisfaction reader distilled from verdicts: better where it can be, refused where not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from gpa_agent.conversations.records import Judgment, Verdict
from gpa_agent.embedding import HashingEncoder, TextEncoder, find_encoder
from gpa_agent.errors import UsageError, WorkspaceError
from gpa_agent.testing.utterances import voice
from gpa_agent.understanding.distilled_satisfaction import (
    DistilledSatisfaction,
    SatisfactionModel,
    decide,
)
from gpa_agent.understanding.protocols import JudgedTurn, SatisfactionReader
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction
from gpa_agent.understanding.satisfaction_training import train_satisfaction
from gpa_agent.understanding.storage import (
    load_classifier,
    load_satisfaction,
    remove_classifier,
    save_satisfaction,
)

ROOT = Path(__file__).resolve().parents[2]
SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER
ANSWER = ("Hoe stop ik vim?", "Typ :q! en dan Enter.")

# Users of whom the shipped reader understands little; a model understands them.
DUTCH = {
    SAT: (
        ("Top", "Super", "Mooi", "Prima", "Geweldig"),
        ("dat hielp", "nu werkt het", "precies goed", "helemaal duidelijk", "opgelost"),
    ),
    DSAT: (
        ("Nee", "Jammer", "Helaas", "Hmm", "Tja"),
        ("dat klopt niet", "het werkt niet", "ik snap het niet", "dat vroeg ik niet", "fout"),
    ),
    NEITHER: (
        ("En", "Verder", "Ook", "Daarna", "Nog iets"),
        ("hoe bewaar ik het", "waar staat het bestand", "wat is emacs", "welke toets", "wie"),
    ),
}


class Judged(NamedTuple):
    turns: list[JudgedTurn]
    verdicts: list[Verdict]
    people: list[str]


def dutch(rows: int, *, people: int = 60, noise: float = 0.05, sat: float = 0.4) -> Judged:
    rng = Random(f"dutch/{rows}/{people}/{sat}")
    judged = Judged([], [], [])
    for i in range(rows):
        felt = rng.choices([SAT, DSAT, NEITHER], [sat, 0.8 - sat, 0.2])[0]
        first, last = (rng.choice(part) for part in DUTCH[felt])
        told = rng.choice([SAT, DSAT, NEITHER]) if rng.random() < noise else felt
        judged.turns.append(JudgedTurn(*ANSWER, f"{first}, {last}"))
        judged.verdicts.append(Verdict(told, 0.9, "a model"))
        judged.people.append(f"p{i % people}")
    return judged


def english(rows: int) -> Judged:
    """Reactions of simulated users, which the shipped reader understands."""
    rng = Random(f"english/{rows}")
    judged = Judged([], [], [])
    for i in range(rows):
        felt = rng.choice([SAT, DSAT, NEITHER])
        reply = voice(felt, about=None, question="Why is it slow?", onward=None, rng=rng)
        judged.turns.append(JudgedTurn("Why is it slow?", "The index is missing.", reply))
        judged.verdicts.append(Verdict(felt, 0.9, "a model"))
        judged.people.append(f"p{i % 40}")
    return judged


def trained_on(judged: Judged, encoder: TextEncoder | None = None) -> DistilledSatisfaction:
    reader, report = train_satisfaction(*judged, encoder or HashingEncoder())
    assert reader is not None, report.reason
    return reader


@pytest.fixture(scope="module")
def reader() -> DistilledSatisfaction:
    return trained_on(dutch(400))


@pytest.mark.parametrize("name", ["hashing", "minilm"])
def test_users_the_shipped_reader_does_not_know_are_learned(name: str) -> None:
    encoder = HashingEncoder() if name == "hashing" else find_encoder(allow_download=False)
    if encoder.name != name:
        pytest.skip("all-MiniLM-L6-v2 is not installed")
    reader, report = train_satisfaction(*dutch(400), encoder)
    assert reader is not None
    assert report.new is not None
    assert report.in_service is not None
    assert report.new.macro_f1 > 0.9
    assert report.in_service.macro_f1 < 0.3
    assert report.gain_macro_f1 is not None
    assert report.gain_macro_f1.low > 0
    # One verdict in thirty is wrong on purpose: who is sure is nearly always right.
    assert report.new.precision is not None
    assert report.new.precision > 0.9
    assert report.new.coverage > 0.5
    assert report.new.calibration_error < 0.15 < report.in_service.calibration_error
    unseen = [JudgedTurn(*ANSWER, "Geweldig, opgelost!"), JudgedTurn(*ANSWER, "Jammer, fout")]
    assert [v.judgment for v in reader.judge(unseen)] == [SAT, DSAT]


def test_where_the_model_says_what_the_shipped_reader_says_nothing_is_replaced() -> None:
    judged = english(300)
    verdicts = EmbeddedSatisfaction(HashingEncoder()).judge(judged.turns)
    reader, report = train_satisfaction(judged.turns, verdicts, judged.people, HashingEncoder())
    assert reader is None
    assert not report.trained
    assert "not clearly better" in report.reason
    assert report.in_service is not None
    assert report.in_service.macro_f1 == 1.0


def test_verdicts_without_meaning_teach_nothing() -> None:
    judged = dutch(400)
    verdicts = [*judged.verdicts]
    Random(3).shuffle(verdicts)
    reader, report = train_satisfaction(judged.turns, verdicts, judged.people, HashingEncoder())
    assert reader is None
    # The shipped reader takes nearly all of it for NEITHER, so guessing would be a gain.
    assert report.gain_macro_f1 is not None
    assert report.gain_macro_f1.low > 0
    assert "no better than guessing" in report.reason


def test_a_reader_already_in_service_is_what_must_be_beaten(reader: DistilledSatisfaction) -> None:
    judged = dutch(300, people=50)
    again, report = train_satisfaction(*judged, HashingEncoder(), in_service=reader)
    assert again is None
    assert report.in_service is not None
    assert report.in_service.macro_f1 > 0.8


@pytest.mark.parametrize("missing", [SAT, DSAT, NEITHER])
def test_every_verdict_needs_enough_people(missing: Judgment) -> None:
    judged = dutch(400)
    kept = [i for i, v in enumerate(judged.verdicts) if v.judgment is not missing]
    reader, report = train_satisfaction(
        [judged.turns[i] for i in kept],
        [judged.verdicts[i] for i in kept],
        [judged.people[i] for i in kept],
        HashingEncoder(),
    )
    assert reader is None
    assert f"{missing.name!r}: 0" in report.reason


def test_ten_rows_of_one_person_are_one_person() -> None:
    judged = dutch(400, people=5)
    assert "fewer than 10 people" in train_satisfaction(*judged, None)[1].reason


def test_turns_without_anything_to_read_count_for_nobody() -> None:
    judged = dutch(300)
    turns = [
        turn._replace(reply=" ") if verdict.judgment is NEITHER else turn
        for turn, verdict in zip(judged.turns, judged.verdicts, strict=True)
    ]
    reader, report = train_satisfaction(turns, judged.verdicts, judged.people, HashingEncoder())
    assert reader is None
    assert "'NEITHER': 0" in report.reason


@pytest.mark.parametrize(
    "reply", ["", " \n ", "???", "asdkjh qwe", "What about emacs?", "Wat is een buffer?", "hi"]
)
def test_silence_does_not_please_even_where_nearly_everybody_is_pleased(reply: str) -> None:
    pleased = trained_on(dutch(600, sat=0.7))
    assert pleased.model.shares[2] > 0.6
    verdict = pleased.judge([JudgedTurn("How do I exit vim?", "Type :q! and Enter.", reply)])[0]
    assert verdict.judgment is not SAT


def test_a_verdict_needs_a_reply_that_speaks_for_it() -> None:
    shares = (0.1, 0.2, 0.7)
    # As likely as in the log at large: nothing in the reply speaks for SAT.
    assert decide(np.array([[0.1, 0.2, 0.7]]), shares).tolist() == [1]
    assert decide(np.array([[0.05, 0.05, 0.9]]), shares).tolist() == [2]
    # 0.35 / sqrt(0.1) = 1.11 beats 0.4 / sqrt(0.2) = 0.89: DSAT, though NEITHER is likelier.
    assert decide(np.array([[0.35, 0.4, 0.25]]), shares).tolist() == [0]
    # 0.25 / sqrt(0.1) = 0.79 does not beat 0.5 / sqrt(0.2) = 1.12.
    assert decide(np.array([[0.25, 0.5, 0.25]]), shares).tolist() == [1]


def test_it_is_a_reader_of_its_own_version(reader: DistilledSatisfaction) -> None:
    assert isinstance(reader, SatisfactionReader)
    assert reader.version == trained_on(dutch(400)).version
    assert reader.version != trained_on(dutch(500)).version
    colder = DistilledSatisfaction(replace(reader.model, temperature=9.0), HashingEncoder())
    assert colder.version != reader.version


def test_verdicts_do_not_depend_on_company_or_order(reader: DistilledSatisfaction) -> None:
    turns = dutch(60).turns
    together = reader.judge(turns)
    assert reader.judge(turns[::-1]) == together[::-1]
    assert [reader.judge([turn])[0].judgment for turn in turns] == [v.judgment for v in together]
    assert reader.judge([]) == []
    assert {v.source for v in together} == {"classifier"}
    np.testing.assert_allclose(reader.probabilities(turns).sum(axis=1), 1.0)


def test_the_cues_alone_can_be_refitted() -> None:
    judged = english(400)
    # The model of this log takes thanks for politeness: only "solved" pleases nobody here.
    verdicts = [
        v._replace(judgment=NEITHER) if v.judgment is SAT and "hank" in t.reply else v
        for t, v in zip(judged.turns, judged.verdicts, strict=True)
    ]
    reader, report = train_satisfaction(judged.turns, verdicts, judged.people, None)
    assert reader is not None, report.reason
    thanks = JudgedTurn("Why is it slow?", "The index is missing.", "Thanks!")
    assert reader.judge([thanks])[0].judgment is NEITHER
    assert EmbeddedSatisfaction().judge([thanks])[0].judgment is SAT


def test_it_comes_back_from_disk_as_it_was(reader: DistilledSatisfaction, tmp_path: Path) -> None:
    save_satisfaction(reader, tmp_path)
    turns = dutch(50).turns
    back = load_satisfaction(tmp_path, HashingEncoder())
    assert back.version == reader.version
    assert back.judge(turns) == reader.judge(turns)
    assert back.report["rows"] == 400
    save_satisfaction(trained_on(dutch(500)), tmp_path)
    assert len(list(tmp_path.glob("weights-*.safetensors"))) == 1
    assert load_satisfaction(tmp_path, HashingEncoder()).version != reader.version
    remove_classifier(tmp_path)
    with pytest.raises(WorkspaceError, match="gpa learn"):
        load_satisfaction(tmp_path, HashingEncoder())


def test_what_is_kept_holds_no_text(reader: DistilledSatisfaction, tmp_path: Path) -> None:
    save_satisfaction(reader, tmp_path)
    card = (tmp_path / "classifier.json").read_text(encoding="utf-8")
    assert "opgelost" not in card
    assert "p17" not in card


def test_damage_and_mistakes_are_told(reader: DistilledSatisfaction, tmp_path: Path) -> None:
    save_satisfaction(reader, tmp_path)
    with pytest.raises(WorkspaceError, match="over the encoder 'hashing'"):
        load_satisfaction(tmp_path, None)
    with pytest.raises(WorkspaceError, match="damaged"):
        load_classifier(tmp_path, HashingEncoder())
    weights = next(tmp_path.glob("weights-*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8] + bytes(8))
    with pytest.raises(WorkspaceError, match="damaged"):
        load_satisfaction(tmp_path, HashingEncoder())


def test_other_cues_than_this_version_reads_are_refused(
    reader: DistilledSatisfaction, tmp_path: Path
) -> None:
    save_satisfaction(reader, tmp_path)
    card = tmp_path / "classifier.json"
    card.write_text(card.read_text(encoding="utf-8").replace('"sarcasm"', '"irony"'), "utf-8")
    with pytest.raises(WorkspaceError, match="other cues"):
        load_satisfaction(tmp_path, HashingEncoder())
    short = SatisfactionModel(
        coefficients=reader.model.coefficients[:-1],
        encoder=reader.model.encoder,
        dim=reader.model.dim,
        temperature=1.0,
        shares=reader.model.shares,
    )
    save_satisfaction(DistilledSatisfaction(short, HashingEncoder()), tmp_path)
    with pytest.raises(WorkspaceError, match="shape"):
        load_satisfaction(tmp_path, HashingEncoder())


def test_misuse_is_refused() -> None:
    judged = dutch(20)
    with pytest.raises(UsageError, match="19 people"):
        train_satisfaction(judged.turns, judged.verdicts, judged.people[1:], None)
    with pytest.raises(UsageError, match="confidence"):
        train_satisfaction(*judged, None, confidence=80)


def test_judging_loads_no_training_library() -> None:
    code = (
        "import sys\n"
        "import gpa_agent.understanding.satisfaction_training\n"
        "import gpa_agent.understanding.storage\n"
        "print(sorted(m for m in ('sklearn', 'scipy', 'torch', 'chromadb') if m in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("corpus", ["ReDial", "SGD"])
def test_people_s_ratings_are_learned_from_a_part(corpus: str) -> None:
    path = Path(os.environ.get("GPA_DATA", "../shared/data")) / "uss" / f"{corpus}.txt"
    if not path.exists():
        pytest.skip(f"{path} is not there; set GPA_DATA to the research data")
    spec = importlib.util.spec_from_file_location("uss", ROOT / "benchmarks" / "satisfaction.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules["uss"] = benchmark
    spec.loader.exec_module(benchmark)
    rows = list(benchmark.read_uss(path))[:3000]
    columns = (DSAT, NEITHER, SAT)
    reader, report = train_satisfaction(
        [row.turn for row in rows],
        [Verdict(columns[row.label], 1.0, "raters") for row in rows],
        # Rows of one dialogue follow each other; twelve are about one.
        [f"dialogue {i // 12}" for i in range(len(rows))],
        None,
    )
    assert reader is not None, report.reason
    assert report.new is not None
    assert report.in_service is not None
    assert report.new.accuracy > report.in_service.accuracy
    assert report.new.calibration_error < 0.05 < report.in_service.calibration_error
