"""An OpenAI-compatible server on loopback that answers from a script.

For tests of anything that speaks the OpenAI API (``ChatOpenAI``, the ``openai`` SDK, a
gateway): chat completions, streaming with usage, tools, structured output and the model
list, as in OpenAI's API reference; every request is kept. Without a script it is obliging:
it calls the tool it is offered, fills a JSON schema from numbers and quoted words of the
question, and otherwise says what it heard.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from typing_extensions import override

Request = Mapping[str, Any]
"""The JSON body of a chat completion request."""

Reply = str | dict[str, Any]
"""A text, or a whole assistant message (``{"content": ..., "tool_calls": [...]}``)."""

_DEPTH = 8
"""How deep a schema is filled; recursive schemas end here."""


def obliging(request: Request) -> Reply:
    """Answer as the request would like it.

    Args:
        request: The request's body.

    Returns:
        A tool call, JSON, or text.
    """
    question = _question(request)
    tool = _tool_wanted(request)
    if tool is not None:
        arguments = _fill(tool.get("parameters") or {}, question)
        call = {
            "id": f"call_{len(request['messages'])}",
            "type": "function",
            "function": {
                "name": tool["name"],
                "arguments": json.dumps(arguments, ensure_ascii=False),
            },
        }
        return {"content": None, "tool_calls": [call]}
    wanted: Mapping[str, Any] = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema = wanted["json_schema"].get("schema") or {}
        return json.dumps(_fill(schema, question), ensure_ascii=False)
    if wanted.get("type") == "json_object":
        return json.dumps({name: f"some {name}" for name in _quoted(question)})
    return f"You said: {question}"


def _question(request: Request) -> str:
    users = [m for m in request["messages"] if m["role"] == "user"]
    content = users[-1].get("content") if users else ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or ())


def _quoted(text: str) -> list[str]:
    return re.findall(r"['\"]([^'\"]+)['\"]", text)


def _tool_wanted(request: Request) -> Mapping[str, Any] | None:
    tools: list[Mapping[str, Any]] = [t["function"] for t in request.get("tools") or ()]
    choice = request.get("tool_choice") or "auto"
    if not tools or choice == "none":
        return None
    if isinstance(choice, Mapping):
        name = choice["function"]["name"]
        return next((t for t in tools if t["name"] == name), tools[0])
    if choice == "auto" and request["messages"][-1]["role"] != "user":
        return None
    return tools[0]


def _fill(schema: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401 -- any JSON value
    return _value(schema, text, schema.get("$defs") or {}, "value", _DEPTH)


def _value(  # noqa: PLR0911 -- one return per JSON type
    schema: Mapping[str, Any], text: str, defs: Mapping[str, Any], name: str, depth: int
) -> Any:  # noqa: ANN401 -- any JSON value
    if "$ref" in schema:
        schema = defs.get(schema["$ref"].rsplit("/", 1)[-1], {})
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    for options in (schema.get("anyOf"), schema.get("allOf")):
        if options:
            return _value(options[0], text, defs, name, depth)
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        if depth == 0:
            return {}
        properties: Mapping[str, Any] = schema.get("properties") or {}
        return {k: _value(v, text, defs, k, depth - 1) for k, v in properties.items()}
    if kind == "array":
        return [_value(schema.get("items") or {}, text, defs, name, depth - 1)] if depth else []
    if kind in {"integer", "number"}:
        return int((re.findall(r"-?\d+", text) or ["1"])[0])
    if kind == "string":
        return (_quoted(text) or [f"some {name}"])[0]
    return {"boolean": True}.get(kind)


class OpenAIServer:
    """The server; a context manager.

    Example:
        ```python
        with OpenAIServer(reply="Hello.") as server:
            model = ChatOpenAI(model="any", base_url=server.url, api_key="any")
            assert model.invoke("Hi").text == "Hello."
            assert server.requests[0]["messages"][-1]["content"] == "Hi"
        ```

    Args:
        reply: A text for every request, or a function of the request; `obliging` by default.
        delay: Seconds before each piece of a streamed answer.
        models: What ``/v1/models`` lists.
    """

    def __init__(
        self,
        reply: str | Callable[[Request], Reply] = obliging,
        *,
        delay: float = 0.0,
        models: tuple[str, ...] = ("scripted",),
    ) -> None:
        self.reply = reply
        self.delay = delay
        self.models = models
        self.requests: list[dict[str, Any]] = []
        """Bodies of the chat completion requests, in order."""
        self.headers: list[dict[str, str]] = []
        """Their headers, names in lower case."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="gpa-openai-server",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The base URL a client is given."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def start(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def answer(self, request: Request) -> dict[str, Any]:
        """The assistant's message for a request.

        Args:
            request: The request's body.

        Returns:
            The message, as the API has it.
        """
        said = self.reply(request) if callable(self.reply) else self.reply
        message: dict[str, Any] = {"content": said} if isinstance(said, str) else dict(said)
        return {"role": "assistant", "content": None, **message}


def _usage(request: Request, message: Mapping[str, Any]) -> dict[str, Any]:
    """Token counts: one per four characters, at least one, as a rule of thumb."""
    sent = max(1, len(json.dumps(request["messages"])) // 4)
    said = max(1, len(json.dumps(message)) // 4)
    return {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said}


def _head(request: Request, number: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "created": int(time.time()),
        "model": request.get("model", "scripted"),
    }


def _finish(message: Mapping[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _completion(request: Request, message: Mapping[str, Any], number: int) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": _finish(message), "logprobs": None}
    return {
        **_head(request, number),
        "object": "chat.completion",
        "choices": [choice],
        "usage": _usage(request, message),
    }


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for word in re.findall(r"\S+\s*|\s+", message["content"] or ""):
        yield {"content": word}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        yield {"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": function["arguments"]}}]}


def _chunks(request: Request, message: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    head = {**_head(request, number), "object": "chat.completion.chunk"}
    for delta in _deltas(message):
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(message)}]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(request, message)}


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if urlsplit(self.path).path == "/v1/models":
                listed = [{"id": m, "object": "model", "owned_by": "gpa"} for m in server.models]
                self._send({"object": "list", "data": listed})
            else:
                self._fail(404, f"no such path: {self.path}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if urlsplit(self.path).path != "/v1/chat/completions":
                self._fail(404, f"no such path: {self.path}")
                return
            try:
                request = json.loads(body)
                request["messages"][0]["role"]
            except (ValueError, TypeError, LookupError):
                self._fail(400, "expected a JSON object with messages")
                return
            server.headers.append({k.lower(): v for k, v in self.headers.items()})
            server.requests.append(request)
            number = len(server.requests)
            message = server.answer(request)
            if request.get("stream"):
                self._stream(_chunks(request, message, number))
            else:
                self._send(_completion(request, message, number))

        def _send(self, payload: Mapping[str, Any], status: int = 200) -> None:
            data = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _fail(self, status: int, message: str) -> None:
            error = {"message": message, "type": "invalid_request_error", "code": None}
            self._send({"error": error}, status)

        def _stream(self, chunks: Iterator[Mapping[str, Any]]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in chunks:
                time.sleep(server.delay)
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the requests are kept."""

    return Handler
