"""A simulated world's log as a file, and the command that writes it."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gpa_agent.settings import Intent

if TYPE_CHECKING:
    import io


class World(Protocol):
    """A simulated chat app."""

    def log(self) -> Iterator[dict[str, Any]]:
        """The conversations of all people in our log format, one dictionary each."""
        ...


def lines(world: World) -> Iterator[str]:
    """A world's log as JSON Lines, newline included."""
    for record in world.log():
        yield json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_log(world: World, path: Path) -> int:
    """Write a world's log; gzip where the name ends in ``.gz``, with no time in it.

    Args:
        world: The world to write.
        path: The file to write or overwrite.

    Returns:
        The number of conversations.
    """
    written = 0
    with path.open("wb") as raw, contextlib.ExitStack() as stack:
        out: io.BufferedIOBase = raw
        if path.suffix == ".gz":
            out = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
        for line in lines(world):
            out.write(line.encode("utf-8"))
            written += 1
    return written


def write_from_command_line(
    argv: list[str] | None,
    make: Callable[..., World],
    taxonomy: Callable[[], Mapping[str, Intent]],
    *,
    module: str,
    about: str,
    people: int,
    conversations: int,
) -> None:
    """Write a simulated log (and its taxonomy) to the files that a command line names.

    Args:
        argv: Its arguments; None for the process's own.
        make: Makes the world from people, conversations, null and seed.
        taxonomy: The world's intents.
        module: Name of the module that is run.
        about: What the command does.
        people: People per group, by default.
        conversations: Conversations per person, by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--out", type=Path, required=True, help="log to write (.jsonl or .gz)")
    parser.add_argument("--taxonomy", type=Path, help="write the intents here, as JSON")
    parser.add_argument("--people", type=int, default=people, help="people per group")
    parser.add_argument(
        "--conversations", type=int, default=conversations, help="conversations per person"
    )
    parser.add_argument("--null", action="store_true", help="groups differ in nothing")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    world = make(
        people=args.people, conversations=args.conversations, null=args.null, seed=args.seed
    )
    count = write_log(world, args.out)
    if args.taxonomy is not None:
        intents = {name: intent.model_dump(mode="json") for name, intent in taxonomy().items()}
        text = json.dumps(intents, indent=1, ensure_ascii=False) + "\n"
        args.taxonomy.write_text(text, encoding="utf-8")
    print(f"wrote {count} simulated conversations to {args.out}")  # noqa: T201 -- a command
