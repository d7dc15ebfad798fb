"""The next token of every row of a batch, each by its own row's wishes.

A token is drawn by inverting the cumulative distribution with one uniform number, in the
vocabulary's order. The number comes from the row's own generator, so a seeded answer does not
depend on its batch mates; rounding (a batch multiplies in another order than a single row) moves
the distribution by some 1e-7, and the token with it about that often. Ordering by probability
first would not: two tokens of nearly equal probability would change places.

Nucleus sampling: Holtzman et al. 2020, https://arxiv.org/abs/1904.09751.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Sampling(NamedTuple):
    """How one row's tokens are chosen.

    Attributes:
        temperature: 0 takes the likeliest token always; 1 is the model's own distribution.
        top_p: Share of the probability, in (0, 1], that the likeliest tokens drawn from make up.
        seed: The same seed draws the same numbers; None draws new ones.
    """

    temperature: float
    top_p: float = 1.0
    seed: int | None = None


class Sampler:
    """Chooses tokens; has one generator a row, on the CPU, so that a seed means the same anywhere.

    Args:
        rows: How each row is sampled.
        device: Where the logits will be.
    """

    def __init__(self, rows: Sequence[Sampling], device: torch.device) -> None:
        import torch  # noqa: PLC0415 -- an extra

        self._generators = [_generator(row) for row in rows]
        self._greedy = torch.tensor([row.temperature == 0 for row in rows], device=device)
        self._temperatures = torch.tensor(
            [row.temperature or 1.0 for row in rows], dtype=torch.float64, device=device
        )
        self._top_ps = torch.tensor([row.top_p for row in rows], dtype=torch.float64, device=device)
        self._all_greedy = all(generator is None for generator in self._generators)
        self._cuts = any(row.top_p < 1 for row in rows)

    def pick(self, logits: torch.Tensor) -> torch.Tensor:
        """Choose one token a row.

        Args:
            logits: (B, V).

        Returns:
            (B,) token ids.
        """
        likeliest = logits.argmax(dim=-1)
        if self._all_greedy:
            return likeliest
        drawn = draw(self._chances(logits), self._uniforms(logits.device))
        return likeliest.where(self._greedy, drawn)

    def _chances(self, logits: torch.Tensor) -> torch.Tensor:
        chances = (logits.double() / self._temperatures[:, None]).softmax(dim=-1)  # (B, V)
        return nucleus(chances, self._top_ps) if self._cuts else chances

    def _uniforms(self, device: torch.device) -> torch.Tensor:
        import torch  # noqa: PLC0415 -- an extra

        return torch.tensor(
            [_uniform(generator) for generator in self._generators],
            dtype=torch.float64,
            device=device,
        )


def draw(chances: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Invert the cumulative distribution.

    Args:
        chances: (B, V), at least 0; rows need not sum to 1.
        uniforms: (B,) in [0, 1).

    Returns:
        (B,) token ids, never one of chance 0. A row that is not numbers gives the last token.
    """
    import torch  # noqa: PLC0415 -- an extra

    below = chances.cumsum(dim=-1)
    drawn = torch.searchsorted(below, uniforms[:, None] * below[:, -1:], right=True)
    return drawn[:, 0].clamp(max=chances.shape[-1] - 1)


def nucleus(chances: torch.Tensor, top_ps: torch.Tensor) -> torch.Tensor:
    """Keep the fewest likeliest tokens that make up a share of the probability.

    Args:
        chances: (B, V); rows sum to 1.
        top_ps: (B,) in (0, 1].

    Returns:
        (B, V): the others are 0, what is kept is as it was.
    """
    ordered, places = chances.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered  # what the likelier ones make up; 0 for the first
    beyond = before >= top_ps[:, None]
    return chances.masked_fill(beyond.scatter(1, places, beyond), 0.0)


def _generator(row: Sampling) -> torch.Generator | None:
    import torch  # noqa: PLC0415 -- an extra

    if row.temperature == 0:
        return None
    generator = torch.Generator()
    if row.seed is None:
        generator.seed()
    else:
        generator.manual_seed(row.seed)
    return generator


def _uniform(generator: torch.Generator | None) -> float:
    import torch  # noqa: PLC0415 -- an extra

    if generator is None:
        return 0.0
    return float(torch.rand((), dtype=torch.float64, generator=generator))
