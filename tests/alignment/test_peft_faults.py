"""PEFT's faults, each shown in bare PEFT first, and what our engine does in their place.

Where the first half of a test fails one day, PEFT has mended its fault.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import StoppingCriteriaList

from gpa_agent.alignment.serving.loading import load
from gpa_agent.alignment.serving.local import LocalEngine
from gpa_agent.errors import DataError, ModelError, UsageError
from tests.alignment.tiny_models import (
    Bare,
    ask,
    at_every_step,
    engine,
    groups,
    make_base,
    write_manifest_for,
)

__all__ = ["engine", "groups"]

Groups = tuple[Path, dict[str, Path]]


def bare(groups: Groups, count: int = 2) -> Bare:
    base, adapters = groups
    return Bare(base, list(adapters.values())[:count])


def raise_in_generate(*_: Any) -> torch.Tensor:
    raise MemoryError("no room")


def test_ours_says_what_bare_peft_says(groups: Groups, engine: LocalEngine) -> None:
    one = bare(groups)
    for name, group in zip("ab", engine.adapters, strict=False):
        one.model.set_adapter(name)
        assert engine.submit(ask("why?", group)).result().text == one.say("why?")
    with one.model.disable_adapter():
        assert engine.submit(ask("why?")).result().text == one.say("why?")


def test_hooks_that_leak_answer_for_another_group(groups: Groups, engine: LocalEngine) -> None:
    one = bare(groups)
    own = {}
    for name in "ab":
        one.model.set_adapter(name)
        own[name] = one.say("why?")
    with pytest.raises(MemoryError):
        one.say(
            "why?", adapter_names=["a"], stopping_criteria=StoppingCriteriaList([raise_in_generate])
        )
    one.model.set_adapter("b")
    assert one.model.active_adapter == "b"
    assert one.say("why?") == own["a"] != own["b"]

    asked = [ask("why?", group) for group in engine.adapters]
    ours = [engine.submit(request).result() for request in asked]
    with at_every_step(raise_in_generate):
        for handle in [engine.submit(request) for request in asked]:
            with pytest.raises(ModelError):
                handle.result()
    assert [engine.submit(request).result() for request in asked] == ours


def test_two_threads_answer_for_each_others_groups(groups: Groups, engine: LocalEngine) -> None:
    one = bare(groups)
    own = {}
    for name in "ab":
        one.model.set_adapter(name)
        own[name] = one.say("why?")
    said: dict[str, str] = {}
    chosen = threading.Barrier(2)
    turn = threading.Lock()

    def answer(name: str) -> None:
        one.model.set_adapter(name)
        chosen.wait()
        with turn:  # even one at a time, after both have chosen
            said[name] = one.say("why?")

    threads = [threading.Thread(target=answer, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert own["a"] != own["b"]
    assert said["a"] == said["b"]  # one of them is the other group's

    ours = {g: engine.submit(ask("why?", g)).result().text for g in engine.adapters}
    heard: dict[tuple[str, int], str] = {}

    def ask_often(group: str) -> None:
        for number in range(5):
            heard[group, number] = engine.submit(ask("why?", group)).result().text

    threads = [threading.Thread(target=ask_often, args=(group,)) for group in engine.adapters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 15
    assert all(text == ours[group] for (group, _), text in heard.items())


def test_an_adapter_of_another_base_loads_without_a_word(groups: Groups, tmp_path: Path) -> None:
    _, adapters = groups
    adapter = adapters["group 0"]
    other = make_base(tmp_path / "other", seed=9)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        wrong = Bare(other, [adapter])
    assert not [w for w in told if "adapter" in str(w.message).lower()]
    assert wrong.say("why?") != bare(groups).say("why?")

    ours = write_manifest_for(groups[0], adapter, tmp_path / "ours")
    with pytest.raises(DataError, match=r"belongs to another base.*weights differ"):
        LocalEngine(other, {"novice": ours})
    with LocalEngine(groups[0], {"novice": ours}) as right:
        assert right.submit(ask("why?", "novice")).result().text == bare(groups).say("why?")


def test_deleting_an_adapter_activates_another_groups(groups: Groups, engine: LocalEngine) -> None:
    one = bare(groups)
    one.model.set_adapter("b")
    others = one.say("why?")
    one.model.set_adapter("a")
    assert one.say("why?") != others
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one.model.delete_adapter("a")
    assert one.say("why?") == others

    base, adapters = groups
    fewer = {group: folder for group, folder in adapters.items() if group != "group 0"}
    with LocalEngine(base, fewer, trust_base=True) as without:
        with pytest.raises(UsageError, match="'group 0'"):
            without.submit(ask("why?", "group 0"))
        plain = without.submit(ask("why?")).result()
    assert plain == engine.submit(ask("why?")).result()


def test_switching_adapters_makes_them_trainable(groups: Groups) -> None:
    one = bare(groups)
    assert not any(p.requires_grad for p in one.model.parameters())
    one.model.set_adapter("b")
    assert any(p.requires_grad for p in one.model.parameters())

    loaded = load(*groups, trust_base=True)
    with loaded.mixture.answering([0, 1, 2]):
        assert not any(p.requires_grad for p in loaded.model.parameters())
