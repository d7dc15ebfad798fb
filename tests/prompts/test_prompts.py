from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType
from typing import Any, get_args

import pytest

import gpa_agent.prompts
from gpa_agent.prompts import DsatSign, Problem, PromptName, SatSign, load
from gpa_agent.prompts.prompt import ANSWERS, QUOTED_DATA
from gpa_agent.testing.completions import CACHED_FROM, count_tokens

ANSWERED = [name for name in ANSWERS if name != "repair"]


def meaning(schema: Any, definitions: dict[str, Any]) -> Any:
    """A JSON schema without titles and references, its sets without order."""
    if isinstance(schema, list):
        return [meaning(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return meaning(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    kept = {k: v for k, v in schema.items() if k not in {"title", "description", "$defs"}}
    return {
        key: sorted(value)
        if key in {"required", "enum"}
        else {name: meaning(one, definitions) for name, one in value.items()}
        if key == "properties"
        else meaning(value, definitions)
        for key, value in kept.items()
    }


@pytest.mark.parametrize("name", ANSWERED)
def test_the_schema_means_what_the_answer_is_parsed_by(name: PromptName) -> None:
    prompt = load(name)
    schema = prompt.answer.model_json_schema()
    assert meaning(prompt.schema, {}) == meaning(schema, schema.get("$defs", {}))


@pytest.mark.parametrize("name", ANSWERS)
def test_a_prompt_says_what_it_is(name: PromptName) -> None:
    prompt = load(name)
    assert prompt.name == name
    assert prompt.version.isdigit()
    assert prompt.restates
    assert prompt.typical_output_tokens > 0
    assert load(name) is prompt


@pytest.mark.parametrize("name", ANSWERED)
def test_instructions_begin_with_quoted_data_and_end_with_the_schema(name: PromptName) -> None:
    prompt = load(name)
    assert prompt.instructions.startswith(QUOTED_DATA)
    assert prompt.instructions.count(QUOTED_DATA) == 1
    assert json.loads(prompt.instructions.rpartition("\n")[2]) == prompt.schema


@pytest.mark.parametrize("name", ANSWERED)
def test_instructions_name_every_field_of_the_answer(name: PromptName) -> None:
    prompt = load(name)
    written = prompt.instructions.rpartition("\n")[0].casefold()
    assert [field for field in prompt.answer.model_fields if field not in written] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("satisfaction", SatSign), ("satisfaction", DsatSign), ("validity", Problem)],
)
def test_every_word_of_an_enum_is_explained(name: PromptName, words: Any) -> None:
    instructions = load(name).instructions
    assert [word for word in get_args(words) if f"\n- {word}: " not in instructions] == []


@pytest.mark.parametrize("name", ["satisfaction", "preference_sat", "preference_dsat", "aspects"])
def test_the_prompts_asked_most_are_long_enough_to_be_cached(name: PromptName) -> None:
    # A provider caches a prompt's beginning from 1,024 equal tokens on, and the fixed text is all
    # that two questions share: one that is shorter is paid in full with every call. A tenth more
    # is asked for because the count lies 8 to 10% above OpenAI's o200k_base on these texts.
    assert count_tokens(load(name).instructions) >= 1.1 * CACHED_FROM


def test_nine_signs_each_way() -> None:
    assert len(get_args(SatSign)) == len(get_args(DsatSign)) == 9
    assert not set(get_args(SatSign)) & set(get_args(DsatSign))


def test_the_public_surface_is_what_all_says() -> None:
    names = vars(gpa_agent.prompts).items()
    public = {name for name, what in names if name[0] != "_" and not isinstance(what, ModuleType)}
    assert set(gpa_agent.prompts.__all__) == public - {"annotations"}


def test_importing_loads_no_langchain() -> None:
    program = "import sys, gpa_agent.prompts; print('langchain_core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
