"""Who answers in ``gpa chat`` and ``gpa demo``, and how a turn is run and shown.

With ``OPENAI_API_KEY`` set a real model answers, wherever ``OPENAI_BASE_URL`` points; without,
the simulated model that follows the guidance in its prompt, and the screen says so. Either is
wrapped by the middleware like any app: nothing here goes around it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from gpa_agent.cli.running import printable
from gpa_agent.errors import GPAError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langgraph.graph.state import CompiledStateGraph

DEFAULT_MODEL = "gpt-4o-mini"
"""The model asked for where neither ``--model`` nor ``GPA_MODEL`` names one."""


class Answerer(NamedTuple):
    """A chat model and how to speak of it.

    Attributes:
        model: The chat model.
        about: One line for the screen.
        simulated: Whether no real model answers.
    """

    model: BaseChatModel
    about: str
    simulated: bool


def find_answerer(name: str | None = None) -> Answerer:
    """Choose who answers.

    Args:
        name: Model name; else ``GPA_MODEL``, else a small one.
    """
    if os.environ.get("OPENAI_API_KEY"):
        from langchain_openai import ChatOpenAI

        wanted = name or os.environ.get("GPA_MODEL") or DEFAULT_MODEL
        where = os.environ.get("OPENAI_BASE_URL") or "api.openai.com"
        model = ChatOpenAI(model=wanted, stream_usage=False)
        return Answerer(model, f"{wanted} at {where} answers", simulated=False)
    from gpa_agent.testing.tailoring_model import TailoringChatModel

    about = "a simulated model answers (set OPENAI_API_KEY, and OPENAI_BASE_URL, for a real one)"
    return Answerer(TailoringChatModel(), about, simulated=True)


class Answered(NamedTuple):
    """One turn as it was run.

    Attributes:
        messages: The conversation with the answer.
        text: The answer.
        trace: The state's ``gpa``: intent, group, version and what was applied.
        system: The system text that went to the model; empty where none did.
    """

    messages: list[BaseMessage]
    text: str
    trace: Mapping[str, Any]
    system: str


class Talk:
    """A conversation with the wrapped app, as one user.

    Args:
        graph: What ``GPAMiddleware.wrap`` made.
        thread: Id of the conversation.
        user: The user's id, where known.
        group: The user's group, where known.
        intent: The intent, where known.
    """

    def __init__(
        self,
        graph: CompiledStateGraph[Any, Any, Any, Any],
        *,
        thread: str,
        user: str | None = None,
        group: str | None = None,
        intent: str | None = None,
    ) -> None:
        self._graph = graph
        asker = {"thread_id": thread, "user_id": user, "group": group, "intent": intent}
        self._asker = {key: value for key, value in asker.items() if value is not None}
        self._messages: list[BaseMessage] = []

    def say(self, text: str, *, token: Callable[[str], None] | None = None) -> Answered:
        """Send an utterance and take the answer, streamed where asked for.

        Args:
            text: What the user says.
            token: Called with each piece of the answer as it comes.

        Raises:
            ModelError: The model failed.
        """
        from langchain_core.messages import HumanMessage

        heard = _sent_prompts()
        config: Any = {"configurable": self._asker, "callbacks": [heard]}
        payload: Any = {"messages": [*self._messages, HumanMessage(text)]}
        state: Any = {}
        try:
            if token is None:
                state = self._graph.invoke(payload, config)
            else:
                for mode, item in self._graph.stream(
                    payload, config, stream_mode=["messages", "values"]
                ):
                    if mode == "values":
                        state = item
                    elif piece := _text_of_ai(item[0]):
                        token(piece)
        except Exception as error:
            if _is_ours(error):
                raise
            raise ModelError(f"the model failed: {type(error).__name__}: {error}") from error
        self._messages = list(state["messages"])
        return Answered(
            self._messages, self._messages[-1].text, state.get("gpa") or {}, heard.system_text()
        )


def trace_line(trace: Mapping[str, Any]) -> str:
    """What a turn was given, in one line."""
    parts = [
        f"intent {trace.get('intent')}",
        f"group {trace.get('group')}",
        f"rubric version {trace.get('rubric_version')}",
        f"{trace.get('mode')} ({', '.join(trace.get('aspects') or []) or 'nothing added'})",
    ]
    if trace.get("arm") == "holdout":
        parts.append("held out, so that the lift can be measured")
    if trace.get("degraded"):
        parts.append(f"degraded: {trace['degraded']}")
    return printable(" · ".join(parts))


def _is_ours(error: Exception) -> bool:
    """Whether an error says what it is; a bug of our own must not pass for a model's failure."""
    return isinstance(error, GPAError) or type(error).__module__.split(".")[0] not in {
        "openai",
        "httpx",
        "httpcore",
        "langchain_openai",
    }


def _text_of_ai(message: Any) -> str:  # noqa: ANN401 -- whatever the stream holds
    from langchain_core.messages import AIMessage, AIMessageChunk

    return message.text if isinstance(message, (AIMessage, AIMessageChunk)) else ""


def _sent_prompts() -> Any:  # noqa: ANN401 -- a class made where LangChain is loaded
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import SystemMessage

    class SentPrompts(BaseCallbackHandler):
        """Keeps the prompt of the last model call: the exact text, not a reconstruction."""

        run_inline = True

        def __init__(self) -> None:
            self.last: Sequence[BaseMessage] = ()

        def on_chat_model_start(
            self,
            serialized: dict[str, Any],  # noqa: ARG002 -- LangChain's signature
            messages: list[list[BaseMessage]],
            **kwargs: Any,  # noqa: ANN401, ARG002 -- LangChain's signature
        ) -> None:
            self.last = messages[0]

        def system_text(self) -> str:
            """The system messages of the last prompt."""
            return "\n\n".join(m.text for m in self.last if isinstance(m, SystemMessage))

    return SentPrompts()
