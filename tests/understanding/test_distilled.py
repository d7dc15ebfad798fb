"""Distilled classifiers: known values by hand, on disk and back, never over another encoder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding

from gpa_agent.conversations.records import UNKNOWN
from gpa_agent.embedding import HashingEncoder, LangChainEncoder
from gpa_agent.errors import StoreError, WorkspaceError
from gpa_agent.understanding.distilled import (
    DistilledClassifier,
    Features,
    LinearModel,
    Scope,
    confidence_of,
    log_softmax,
    read,
)
from gpa_agent.understanding.storage import has_classifier, load_classifier, save_classifier
from gpa_agent.understanding.training import fit_scope, fit_softmax, fit_temperature


def small_model() -> LinearModel:
    return LinearModel(
        labels=("left", "right"),
        encoder="plane",
        dim=2,
        weights=np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
        bias=np.array([0.0, 0.5], np.float32),
        anchors=np.array([[1.0, 0.0], [0.6, 0.8]], np.float32),
        anchor_class=np.array([0, 1]),
        anchor_gain=2.0,
        temperature=2.0,
    )


def model_over(encoder: HashingEncoder, threshold: float = 0.5) -> LinearModel:
    rng = np.random.default_rng(0)
    return LinearModel(
        labels=("bread", "code", "travel"),
        encoder=encoder.name,
        dim=encoder.dim,
        weights=rng.normal(size=(encoder.dim, 3)).astype(np.float32),
        bias=np.zeros(3, np.float32),
        anchors=encoder.encode(["bake bread", "fix code", "book a flight"]),
        anchor_class=np.arange(3),
        anchor_gain=3.0,
        scope=Scope(0.1, 0.2, 0.3, 0.4),
        threshold=threshold,
        report={"accuracy": 0.9},
    )


def test_logits_and_confidence_by_hand() -> None:
    features = Features(np.array([[0.0, 1.0]], np.float32), np.zeros((1, 0), np.float32))
    reading = read(small_model(), features)
    # By hand, left is 0 + 2 * cos((0,1),(1,0)) = 0, and right is 1 + 0.5 + 2 * 0.8 = 3.1.
    assert reading.logits[0] == pytest.approx([0.0, 3.1])
    assert reading.nearest == pytest.approx([0.8])
    # softmax of (0, 3.1) / 2: 1 / (1 + exp(-1.55)) = 0.824914
    assert confidence_of(small_model(), reading) == pytest.approx([0.824914], abs=1e-5)
    # log p = -0.192476; odds = 1 + 0.1*3.1 - 2*0.192476 - 0.5*0.8 = 0.525048 -> 0.628329
    scoped = replace(small_model(), scope=Scope(1.0, 0.1, 2.0, -0.5))
    assert confidence_of(scoped, reading) == pytest.approx([0.628329], abs=1e-5)


def test_below_the_threshold_and_without_words_it_is_unknown() -> None:
    encoder = HashingEncoder()
    texts = ["bake some bread", "", "   ", "?!"]
    bold = DistilledClassifier(model_over(encoder, threshold=0.0), encoder).classify(texts)
    shy = DistilledClassifier(model_over(encoder, threshold=1.0), encoder).classify(texts)
    assert bold[0].value in {"bread", "code", "travel"}
    assert [label.value for label in bold[1:]] == [UNKNOWN] * 3
    assert [label.confidence for label in bold[1:]] == [0.0] * 3
    assert {label.value for label in shy} == {UNKNOWN}
    assert {label.source for label in bold} == {"classifier"}
    assert DistilledClassifier(model_over(encoder), encoder).classify([]) == []


def test_round_trip_is_exact(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    before = DistilledClassifier(model_over(encoder), encoder)
    save_classifier(before, tmp_path / "intents")
    after = load_classifier(tmp_path / "intents", encoder)
    texts = ["bake some bread", "fix this bug", "a flight to rome"]
    assert after.version == before.version
    assert after.classify(texts) == before.classify(texts)
    assert after.report == {"accuracy": 0.9}
    assert has_classifier(tmp_path / "intents")


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    save_classifier(DistilledClassifier(model_over(encoder), encoder), tmp_path)
    other = replace(model_over(encoder), bias=np.ones(3, np.float32), threshold=0.7)
    save_classifier(DistilledClassifier(other, encoder), tmp_path)
    assert load_classifier(tmp_path, encoder).model.threshold == 0.7
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_version_moves_with_weights_and_threshold() -> None:
    encoder = HashingEncoder()
    model = model_over(encoder)
    versions = {
        DistilledClassifier(m, encoder).version
        for m in (
            model,
            replace(model, threshold=0.6),
            replace(model, bias=np.ones(3, np.float32)),
            replace(model, labels=("bread", "code", "trips")),
        )
    }
    assert len(versions) == 4
    assert DistilledClassifier(replace(model, report={}), encoder).version in versions


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    save_classifier(DistilledClassifier(model_over(encoder), encoder), tmp_path)
    stranger = LangChainEncoder(DeterministicFakeEmbedding(size=384), name="fake-384")
    with pytest.raises(WorkspaceError, match=r"'hashing'.*'fake-384'.*gpa learn"):
        load_classifier(tmp_path, stranger)


def test_damage_is_told(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    with pytest.raises(WorkspaceError, match="no classifier"):
        load_classifier(tmp_path, encoder)
    save_classifier(DistilledClassifier(model_over(encoder), encoder), tmp_path)
    card, weights = tmp_path / "classifier.json", next(tmp_path.glob("*.safetensors"))
    good, content = card.read_text(), weights.read_bytes()

    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WorkspaceError, match="damaged"):
        load_classifier(tmp_path, encoder)
    weights.write_bytes(content)

    for spoiled in (
        good[:40],
        json.dumps(json.loads(good) | {"format": 2}),
        json.dumps(json.loads(good) | {"temperature": 0.0}),
        json.dumps(json.loads(good) | {"weights_sha256": "../../etc/passwd"}),
    ):
        card.write_text(spoiled)
        with pytest.raises(WorkspaceError, match="damaged or from a newer"):
            load_classifier(tmp_path, encoder)

    card.write_text(json.dumps(json.loads(good) | {"labels": ["bread", "code"]}))
    with pytest.raises(WorkspaceError, match="shape"):
        load_classifier(tmp_path, encoder)
    card.write_text(good)
    weights.unlink()
    with pytest.raises(WorkspaceError, match="cannot be read"):
        load_classifier(tmp_path, encoder)


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"):
        save_classifier(DistilledClassifier(model_over(encoder), encoder), tmp_path / "file" / "x")


def test_reading_a_classifier_does_not_load_scikit_learn(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    save_classifier(DistilledClassifier(model_over(encoder), encoder), tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from gpa_agent.embedding import HashingEncoder\n"
        "from gpa_agent.understanding.storage import load_classifier\n"
        f"load_classifier(Path({str(tmp_path)!r}), HashingEncoder()).classify(['bake bread'])\n"
        "heavy = {'sklearn', 'scipy', 'torch', 'chromadb', 'onnxruntime', 'httpx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@given(st.integers(2, 5), st.integers(0, 10_000))
def test_log_softmax_sums_to_one_and_keeps_the_order(classes: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(scale=50, size=(3, classes))
    logs = log_softmax(logits)
    assert np.exp(logs).sum(axis=1) == pytest.approx([1, 1, 1])
    assert (logs.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_two_classes_share_the_logit() -> None:
    rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], np.float32)
    fit = fit_softmax(rows, np.array([0, 0, 2, 2]), classes=3, strength=1.0)
    assert fit.weights[:, 0] == pytest.approx(-fit.weights[:, 2])
    assert (rows @ fit.weights + fit.bias).argmax(axis=1).tolist() == [0, 0, 2, 2]
    alone = fit_softmax(rows, np.array([1, 1, 1, 1]), classes=2, strength=1.0)
    assert (rows @ alone.weights + alone.bias).argmax(axis=1).tolist() == [1, 1, 1, 1]


def test_temperature_undoes_overconfidence() -> None:
    # A margin of 4, yet right in 3 of 4: the log-odds should be ln 3 = 4 / T, so T = 3.64.
    logits = np.array([[4.0, 0.0]] * 4)
    target = np.array([0, 0, 0, 1])
    assert fit_temperature(logits, target) == pytest.approx(4 / np.log(3), rel=0.06)
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, np.int64)) == 1.0


def test_scope_never_counts_backwards() -> None:
    rng = np.random.default_rng(1)
    right = np.arange(200) % 2 == 0
    readings = np.column_stack(
        [right + rng.normal(size=200), np.zeros(200), -1.0 * right + rng.normal(size=200)]
    )
    scope = fit_scope(readings, right, np.ones(200))
    assert scope.logit > 0.3
    assert scope.log_probability == 0.0
    assert scope.nearest == 0.0
