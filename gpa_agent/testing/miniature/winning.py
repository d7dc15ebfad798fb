"""Who wins for whom: answers to the 72 held-out prompts, compared by each group's taste.

An answer that makes no sense loses against one that does, so that style alone wins nothing.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpa_agent.alignment.deps import require
from gpa_agent.alignment.pair import Said
from gpa_agent.alignment.tuning.curves import PICTURE
from gpa_agent.testing.miniature.checks import Tally, coherent, compare, score
from gpa_agent.testing.miniature.domain import GROUPS, prompts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASE: Final = "base"
"""What the model without adapter is called among the others."""

SAMPLES: Final = 3
"""Answers to each prompt."""


def held_out_answers(
    base: Path, adapters: Mapping[str, Path], *, seed: int = 0
) -> dict[str, list[str]]:
    """Let the base and every adapter on it answer the held-out prompts, three times each.

    Args:
        base: The base model's folder.
        adapters: Folders of adapters, by the name they get here.
        seed: Of the sampling, the same for all.

    Returns:
        `BASE` and each adapter's name to 216 answers, at temperature 0.7.

    Raises:
        MissingDependency: The extra ``finetune`` is not installed.
    """
    require("let group models answer")
    from gpa_agent.testing.miniature.answering import answer_all  # noqa: PLC0415 -- of the extra

    asked = [(Said(role="user", content=prompt.text),) for prompt in prompts("holdout")]
    named = {BASE: None, **adapters}
    return {
        name: answer_all(base, path, asked, samples=SAMPLES, seed=seed)
        for name, path in named.items()
    }


def beats(first: Sequence[str], second: Sequence[str], group: str) -> Tally:
    """How often one model's held-out answers fit a group better than another's.

    Args:
        first: The one's, as `held_out_answers` gives them.
        second: The other's.
        group: By whose taste.

    Returns:
        Shares won, tied and lost by the first; an incoherent answer loses against a coherent one.
    """
    return compare(_scores(first, group), _scores(second, group))


def coherence(answers: Sequence[str]) -> float:
    """The share of held-out answers that make sense, in [0, 1].

    Args:
        answers: As `held_out_answers` gives them.
    """
    return sum(map(coherent, _asked(), answers)) / len(answers)


def win_matrix(answers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Tally]]:
    """Every model against the base, by every group's taste.

    Args:
        answers: As `held_out_answers` gives them.

    Returns:
        Model to group to what the model won, tied and lost.
    """
    return {
        name: {group: beats(given, answers[BASE], group) for group in GROUPS}
        for name, given in answers.items()
        if name != BASE
    }


def draw(
    matrix: Mapping[str, Mapping[str, Tally]], runs: Mapping[str, Path], folder: Path
) -> list[Path]:
    """Put the win shares, and the learning curves of the runs behind them, into a folder.

    Args:
        matrix: As `win_matrix` gives it.
        runs: Each group's finished run, with its ``curve.png``.
        folder: Where to; made if it is not there.

    Returns:
        The pictures; none where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 -- may be missing
    except ImportError:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [folder / "wins.png"]
    _win_picture(matrix, Figure(figsize=(4.6, 3.8), layout="constrained"), pictures[0])
    for group, run in runs.items():
        if (run / PICTURE).exists():
            pictures.append(folder / f"curve-{group}.png")
            shutil.copyfile(run / PICTURE, pictures[-1])
    return pictures


def _win_picture(matrix: Mapping[str, Mapping[str, Tally]], figure: Figure, path: Path) -> None:
    models = sorted(matrix, key=lambda name: (*GROUPS, name).index(name))
    shares = [[matrix[name][group].win for group in GROUPS] for name in models]
    axes = figure.subplots()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(GROUPS)), [f"by {group} taste" for group in GROUPS])
    axes.set_yticks(range(len(models)), [f"{name} model" for name in models])
    for row, shown in enumerate(shares):
        for column, share in enumerate(shown):
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour)
    figure.suptitle("Share won against the base\n(a miniature: simulated groups, tiny model)")
    figure.colorbar(image, ax=axes)
    figure.savefig(path, dpi=120)


def _asked() -> list[str]:
    return [prompt.text for prompt in prompts("holdout") for _ in range(SAMPLES)]


def _scores(answers: Sequence[str], group: str) -> list[float]:
    return [
        score(answer, group) if coherent(asked, answer) else -math.inf
        for asked, answer in zip(_asked(), answers, strict=True)
    ]
