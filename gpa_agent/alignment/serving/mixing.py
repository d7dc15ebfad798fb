"""Adapters of several groups in one forward pass, each row with its own group's.

A LoRA layer computes ``x W + x A B``. Here the A and B of every row of a batch are gathered once,
when the batch begins, and applied as one batched product a layer and token. PEFT's own mixed
batches loop over the adapters in every layer, which costs more than the model where groups are
many and the model is small; and they work through hooks that stay on the layers when a batch
breaks off (still so in 0.21, huggingface/peft#3475), so that the next is answered by the groups
of the one before. Here nothing is left to a next batch: it sets its own rows or has none.

After Punica's gathered products (Chen et al. 2023, https://arxiv.org/abs/2310.18547), in plain
torch. LoRA: Hu et al. 2021, https://arxiv.org/abs/2106.09685.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer
from typing_extensions import override


class MixedLinear(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """A linear layer with everybody's adapters.

    Args:
        base: The layer itself.
        down: (adapters, in, rank), the A of each; the first is 0.
        up: (adapters, rank, out), the B of each, scaled.
    """

    def __init__(self, base: torch.nn.Module, down: torch.Tensor, up: torch.Tensor) -> None:
        super().__init__()
        self.base = base
        self._all = (down, up)
        self._chosen: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def weight(self) -> Any:  # noqa: ANN401 -- some models look at a layer's dtype
        """The base's."""
        return self.base.weight

    def choose(self, rows: Sequence[int]) -> None:
        """Say which adapter each row of what follows has.

        Args:
            rows: A number for each; none at all is the base alone.
        """
        down, up = self._all
        if not any(rows):
            self._chosen = None
        elif len(set(rows)) == 1:
            self._chosen = down[rows[0]], up[rows[0]]  # (in, rank), (rank, out): no copy
        else:
            at = torch.tensor(rows, device=down.device)
            self._chosen = down[at], up[at]  # (B, in, rank), (B, rank, out)

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer and each row's adapter.

        Args:
            x: (B, T, in).

        Returns:
            (B, T, out).

        Raises:
            ValueError: The architecture hands this layer something else than the batch's rows.
        """
        said: torch.Tensor = self.base(x)
        if self._chosen is None:
            return said
        down, up = self._chosen
        if down.dim() == 3 and (x.dim() != 3 or len(x) != len(down)):
            raise ValueError(f"{len(down)} rows, but this layer is given {tuple(x.shape)}")
        return said + x @ down @ up


class Mixture:
    """The layers of one model that have adapters.

    Args:
        layers: Them; none is a base without adapters.
    """

    def __init__(self, layers: Sequence[MixedLinear]) -> None:
        self._layers = layers

    @contextmanager
    def answering(self, rows: Sequence[int]) -> Generator[None]:
        """Answer each row of a batch with its own adapter.

        Args:
            rows: The number of each row's adapter.
        """
        self._choose(rows)
        try:
            yield
        finally:
            self._choose(())

    def _choose(self, rows: Sequence[int]) -> None:
        for layer in self._layers:
            layer.choose(rows)


def take_over(model: Any, names: Sequence[str]) -> tuple[Any, Mixture]:  # noqa: ANN401 -- PEFT's model
    """Take the adapters that PEFT has loaded out of its hands.

    Args:
        model: PEFT's; not to be used afterwards.
        names: What PEFT calls the adapters, in the order of their numbers from 1.

    Returns:
        The base with layers that mix, and those layers.

    Raises:
        ValueError: A layer is of a kind that cannot be mixed.
    """
    base = model.get_base_model()
    layers: list[MixedLinear] = []
    for path, layer in list(base.named_modules()):
        if not isinstance(layer, LoraLayer):
            continue
        if type(layer) is not Linear or layer.lora_variant:
            raise ValueError(f"{path} has an adapter of a kind that cannot be mixed")
        layers.append(_mixed(layer, names))
        base.set_submodule(path, layers[-1])
    return base, Mixture(layers)


def _mixed(layer: Any, names: Sequence[str]) -> MixedLinear:  # noqa: ANN401 -- PEFT's layer
    weight = next(layer.lora_A[name].weight for name in names if name in layer.lora_A)
    rank = max(layer.r.values())
    down = weight.new_zeros(len(names) + 1, layer.in_features, rank)
    up = weight.new_zeros(len(names) + 1, rank, layer.out_features)
    with torch.no_grad():
        for number, name in enumerate(names, start=1):
            if name in layer.lora_A:  # an adapter need not have every layer that another has
                own = layer.r[name]
                down[number, :, :own] = layer.lora_A[name].weight.T
                up[number, :own] = layer.lora_B[name].weight.T * layer.scaling[name]
    return MixedLinear(layer.get_base_layer(), down, up)
