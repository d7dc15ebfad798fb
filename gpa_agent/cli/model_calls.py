"""Chat models on the command line: what they may cost, and what they did."""

from typing import TYPE_CHECKING, Annotated

import typer

from gpa_agent.cli.running import emit, note, printable, screen
from gpa_agent.errors import UsageError

if TYPE_CHECKING:
    from gpa_agent.learning.estimate import Estimate
    from gpa_agent.learning.report import ModelReport

WITH_A_MODEL = "With a chat model"
"""Heading of these options in the help."""

MaxCallsOption = Annotated[
    int | None,
    typer.Option(
        "--max-calls", min=1, help="Stop after so many calls.", rich_help_panel=WITH_A_MODEL
    ),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option(
        "--max-cost", min=0, help="Stop at so many dollars.", rich_help_panel=WITH_A_MODEL
    ),
]
PriceOption = Annotated[
    str | None,
    typer.Option(
        "--price",
        metavar="IN,OUT[,CACHED]",
        help="What the model costs, dollars per million tokens; kept by gpa learn.",
        rich_help_panel=WITH_A_MODEL,
    ),
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        min=1,
        help="Calls in flight; kept by gpa learn.",
        rich_help_panel=WITH_A_MODEL,
    ),
]


def price_given(text: str | None) -> dict[str, float] | None:
    """Read ``--price``."""
    if text is None:
        return None
    try:
        figures = [float(part) for part in text.split(",")]
    except ValueError:
        figures = []
    if len(figures) not in (2, 3):
        raise UsageError(
            f"--price {text!r}: expected dollars per million tokens, as in 0.15,0.60 or "
            "0.15,0.60,0.075 (input, output, input from the provider's cache)"
        )
    return dict(zip(("input", "output", "cached_input"), figures, strict=False))


def print_estimate(expected: "Estimate | None", cannot: UsageError | None, *, json_: bool) -> None:
    """Print what a dry run expects."""
    if json_:
        emit(None if expected is None else expected.model_dump(mode="json"))
    elif expected is None:
        screen().print("no chat model is configured: learning calls nobody and costs nothing")
    else:
        screen().print(printable(f"{expectation(expected)}\n{expected.basis}"))
    if cannot is not None:
        note(f"the model cannot be opened as things are: {cannot}")


def expectation(expected: "Estimate") -> str:
    """What a run is expected to call and cost, in a sentence."""
    cost = "no price known" if expected.cost is None else f"about ${expected.cost:.2f}"
    return (
        f"expected: {expected.calls:,} calls, {expected.input_tokens:,} tokens in, "
        f"{expected.output_tokens:,} out, {cost}"
    )


def asked_of(model: "ModelReport") -> str:
    """What was asked of the model, what it cost, and what went wrong."""
    cost = "no price known" if model.cost is None else f"${model.cost:.2f}"
    share = model.cached_tokens / max(model.input_tokens, 1)
    wrong = {
        "repaired": model.repaired,
        "left unknown (unreadable)": model.malformed,
        "left unknown (refused)": model.refused,
        "given up, asked again next time": model.failed,
        "tried again": model.retried,
        "put off by the provider": model.rate_limited,
        "attributions without ground": model.unfounded,
    }
    told = "".join(f", {n} {what}" for what, n in wrong.items() if n)
    return (
        f"{model.model}: {model.calls:,} calls, {model.cached:,} answers known already, "
        f"{model.input_tokens:,} tokens in ({share:.0%} from the provider's cache), "
        f"{model.output_tokens:,} out, {cost}{told}"
    )
