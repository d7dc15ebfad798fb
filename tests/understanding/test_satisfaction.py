"""The embedded satisfaction reader, on replies written by hand and, where it is there, on USS."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from gpa_agent.conversations.records import Judgment
from gpa_agent.embedding import HashingEncoder, find_encoder
from gpa_agent.errors import UsageError
from gpa_agent.understanding.classifier import design_matrix, load, predict, shipped
from gpa_agent.understanding.protocols import JudgedTurn, SatisfactionReader
from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
SAT, DSAT, NEITHER = Judgment.SAT, Judgment.DSAT, Judgment.NEITHER
VIM = ("How do I exit vim?", "Type :q! and press Enter.")
NONE_FOUND = ("Find Thai food", "I could not find any Thai restaurants.")
OFFER = ("Find Thai food", "Would you like me to book Blue Olive?")
MORE = ("Find Thai food", "Anything else I can help you with?")

TABLE = [
    (VIM, "Thanks!", SAT),
    (VIM, "perfect, that fixed it", SAT),
    (VIM, "This is great, thank you so much!", SAT),
    (VIM, "It works now", SAT),
    (VIM, "I get it now", SAT),
    (VIM, "Awesome!", SAT),
    (VIM, "I can't thank you enough", SAT),
    (VIM, "no problem, thanks", SAT),
    (VIM, "Merci beaucoup", SAT),
    (VIM, "it still doesn't work", DSAT),
    (VIM, "same error", DSAT),
    (VIM, "too long", DSAT),
    (VIM, "not good", DSAT),
    (VIM, "it isn't helpful", DSAT),
    (VIM, "that's wrong", DSAT),
    (VIM, "that is not what I asked", DSAT),
    (VIM, "No, I meant something else", DSAT),
    (VIM, "I don't understand", DSAT),
    (VIM, "explain more simply", DSAT),
    (VIM, "thanks for nothing", DSAT),
    (VIM, "oh great, another error", DSAT),
    (VIM, "yeah right", DSAT),
    (VIM, "great, but it crashes", DSAT),
    (VIM, "it's okay but too formal", DSAT),
    (VIM, "how can I exit vim please", DSAT),
    (VIM, "never mind", DSAT),
    (VIM, "What about emacs?", NEITHER),
    (VIM, "Could you explain the second step?", NEITHER),
    (VIM, "Why?", NEITHER),
    (VIM, "hi", NEITHER),
    (VIM, "good morning", NEITHER),
    (VIM, "can you recommend a good restaurant?", NEITHER),
    (VIM, "I'm looking for a great laptop", NEITHER),
    (VIM, "", NEITHER),
    (VIM, " \n\t ", NEITHER),
    (VIM, "???", NEITHER),
    (VIM, "asdkjh qwe", NEITHER),
    (VIM, "谢谢你,很好", NEITHER),
    (VIM, "¿Cómo salgo de emacs?", NEITHER),
    (VIM, '"This is terrible."', NEITHER),
    (VIM, "My code prints 'bad request', why?", NEITHER),
    (NONE_FOUND, "thanks anyway", DSAT),
    (NONE_FOUND, "Try again", DSAT),
    (NONE_FOUND, "No, that's all.", DSAT),
    (OFFER, "not now", DSAT),
    (OFFER, "Yes", SAT),
    (OFFER, "Sure", SAT),
    (MORE, "No, that's all.", NEITHER),
    (MORE, "No", NEITHER),
    (MORE, "no thanks", NEITHER),
]


def recipe() -> ModuleType:
    return load_script("finetune/satisfaction/train.py")


def load_script(path: str) -> ModuleType:
    name = "script_" + path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("encoder", [None, HashingEncoder()], ids=["cues", "hashing"])
@pytest.mark.parametrize(("said", "reply", "judgment"), TABLE)
def test_table(
    encoder: HashingEncoder | None, said: tuple[str, str], reply: str, judgment: Judgment
) -> None:
    verdict = EmbeddedSatisfaction(encoder).judge([JudgedTurn(*said, reply)])[0]
    assert verdict.judgment is judgment


def test_table_with_sentence_embeddings() -> None:
    encoder = find_encoder(allow_download=False)
    if encoder.name != "minilm":
        pytest.skip("all-MiniLM-L6-v2 is not installed")
    turns = [JudgedTurn(*said, reply) for said, reply, _ in TABLE]
    verdicts = EmbeddedSatisfaction(encoder).judge(turns)
    wrong = [
        (turn.reply, verdict)
        for turn, verdict, (_, _, judgment) in zip(turns, verdicts, TABLE, strict=True)
        if verdict.judgment is not judgment
    ]
    assert wrong == []


def test_unreadable_is_neither_for_certain() -> None:
    chances = EmbeddedSatisfaction().probabilities(
        [JudgedTurn("q", "a", " "), JudgedTurn("", "", "")]
    )
    assert chances.tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]


def test_nothing_in_nothing_out() -> None:
    reader = EmbeddedSatisfaction(HashingEncoder())
    assert reader.judge([]) == []
    assert reader.probabilities([]).shape == (0, 3)


def test_it_is_a_satisfaction_reader() -> None:
    assert isinstance(EmbeddedSatisfaction(), SatisfactionReader)


class Counting(HashingEncoder):
    """Remembers what it embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen.extend(texts)
        return super().encode(texts)


def test_only_what_the_cues_leave_open_is_embedded_and_once() -> None:
    encoder = Counting()
    decided = JudgedTurn(*VIM, "This is great, thank you so much!")
    open_ = JudgedTurn(*VIM, "I watched it with my kids")
    verdicts = EmbeddedSatisfaction(encoder).judge([decided, open_, open_])
    assert encoder.seen == ["i watched it with my kids"]
    assert [verdict.source for verdict in verdicts] == ["cues", "classifier", "classifier"]


class Foreign(Counting):
    """An encoder no weights were shipped for."""

    name = "somebody's"


def test_beside_an_unknown_encoder_the_cues_judge_alone() -> None:
    encoder = Foreign()
    turns = [JudgedTurn(*said, reply) for said, reply, _ in TABLE]
    foreign, alone = EmbeddedSatisfaction(encoder), EmbeddedSatisfaction()
    assert foreign.judge(turns) == alone.judge(turns)
    assert foreign.version == alone.version
    assert encoder.seen == []


def test_version_names_what_changes_the_verdict() -> None:
    readers = [
        EmbeddedSatisfaction(),
        EmbeddedSatisfaction(abstain_below=0.5),
        EmbeddedSatisfaction(HashingEncoder()),
        EmbeddedSatisfaction(HashingEncoder(), embed_below=0.7),
    ]
    assert len({reader.version for reader in readers}) == 4


def test_thresholds_are_checked() -> None:
    with pytest.raises(UsageError, match="embed_below=nan"):
        EmbeddedSatisfaction(embed_below=float("nan"))
    with pytest.raises(UsageError, match=r"abstain_below=-0\.1"):
        EmbeddedSatisfaction(abstain_below=-0.1)


def test_abstains_more_with_a_higher_threshold() -> None:
    turns = [JudgedTurn(*said, reply) for said, reply, _ in TABLE]
    told = [
        sum(v.judgment is not NEITHER for v in EmbeddedSatisfaction(abstain_below=t).judge(turns))
        for t in (0.0, 0.6, 0.9, 1.1)
    ]
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0


REPLIES = st.lists(
    st.sampled_from([reply for _, reply, _ in TABLE]) | st.text(max_size=80), min_size=1, max_size=8
)


@settings(max_examples=40, deadline=None)
@given(REPLIES)
def test_batch_equals_one_by_one_and_confidence_is_a_probability(replies: list[str]) -> None:
    reader = EmbeddedSatisfaction(HashingEncoder())
    turns = [JudgedTurn(*VIM, reply) for reply in replies]
    together = reader.judge(turns)
    assert together == [reader.judge([turn])[0] for turn in turns]
    assert all(0 <= verdict.confidence <= 1 for verdict in together)
    np.testing.assert_allclose(reader.probabilities(turns).sum(axis=1), 1.0)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([reply for _, reply, _ in TABLE]))
def test_case_and_spacing_do_not_matter(reply: str) -> None:
    reader = EmbeddedSatisfaction(HashingEncoder())
    changed = "  " + reply.upper().replace(" ", "   ") + "  "
    plain, loud = reader.judge([JudgedTurn(*VIM, reply), JudgedTurn(*VIM, changed)])
    assert plain == loud


def test_predict_by_hand() -> None:
    # One cue at 1, scores (0, ln 2, ln 1) -> shares 1 : 2 : 1.
    design = design_matrix(np.array([[1.0]]))
    chances = predict(design, np.array([[0.0, 0.0, 0.0], [0.0, np.log(2.0), 0.0]]))
    np.testing.assert_allclose(chances, [[0.25, 0.5, 0.25]])
    # Twice the temperature takes the root: 1 : sqrt 2 : 1.
    warm = predict(design, np.array([[0.0] * 3, [0.0, np.log(2.0), 0.0]]), 2.0)
    np.testing.assert_allclose(warm[0, 1], np.sqrt(2) / (2 + np.sqrt(2)))


def test_shipped_weights() -> None:
    assert shipped() == ("cues", "hashing", "minilm")
    assert load("minilm").coefficients.shape == (load("cues").coefficients.shape[0] + 384, 3)


def test_predicting_loads_neither_sklearn_nor_scipy() -> None:
    code = (
        "import sys\n"
        "from gpa_agent.understanding.protocols import JudgedTurn\n"
        "from gpa_agent.understanding.satisfaction import EmbeddedSatisfaction\n"
        "EmbeddedSatisfaction().judge([JudgedTurn('q', 'a', 'thanks')])\n"
        "print(sorted(m for m in ('sklearn', 'scipy', 'torch', 'chromadb') if m in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cues", "hashing", "minilm"])
def test_weights_are_what_the_recipe_makes(name: str, tmp_path: Path) -> None:
    if name == "minilm" and find_encoder(allow_download=False).name != "minilm":
        pytest.skip("all-MiniLM-L6-v2 is not installed")
    recipe().main(["--encoder", name, "--out", str(tmp_path)])
    made = load_file(tmp_path / f"{name}.safetensors")["coefficients"]
    np.testing.assert_allclose(made, load(name).coefficients, atol=1e-5)


def test_training_text_covers_every_class_in_many_families() -> None:
    rows = recipe().rows()
    best = [int(np.argmax(row.shares)) for row in rows]
    assert min(best.count(column) for column in range(3)) > 500
    assert len({row.family for row in rows}) > 70
    assert all(abs(sum(row.shares) - 1) < 1e-9 for row in rows)


# Reached with the cues alone (all rows): the floors leave a margin of about 0.01.
CUE_FLOORS = {
    "ReDial": {"auc_dissatisfied": 0.73, "auc_satisfied": 0.695, "balanced_accuracy": 0.51},
    "SGD": {"auc_dissatisfied": 0.80, "auc_satisfied": 0.73, "balanced_accuracy": 0.59},
}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("corpus", ["ReDial", "SGD"])
def test_floors_on_uss(corpus: str) -> None:
    benchmark = load_script("benchmarks/satisfaction.py")
    path = benchmark.data_folder() / "uss" / f"{corpus}.txt"
    if not path.exists():
        pytest.skip(f"{path} is not there; set GPA_DATA to the research data")
    rows = list(benchmark.read_uss(path))
    labels = np.array([row.label for row in rows])
    chances, verdicts, _ = benchmark.ours(None, rows)
    measured = benchmark.figures(labels, chances, verdicts)
    baseline = benchmark.figures(labels, *benchmark.dozen_words(rows))
    for figure, floor in CUE_FLOORS[corpus].items():
        assert measured[figure] >= floor, figure
        assert measured[figure] > baseline[figure], figure
    assert measured["confident_0.7"]["sided"] > 0.85
