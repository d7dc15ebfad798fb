"""Adapters of several groups in one forward pass."""

from __future__ import annotations

import pytest
import torch

from gpa_agent.alignment.serving.mixing import MixedLinear, Mixture


def layer() -> MixedLinear:
    """Twice its input; adapter 1 adds 3 times the first number to the second, 2 the reverse."""
    base = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        base.weight.copy_(2 * torch.eye(2))
    down = torch.tensor([[[0.0], [0.0]], [[1.0], [0.0]], [[0.0], [1.0]]])  # (3, in 2, rank 1)
    up = torch.tensor([[[0.0, 0.0]], [[0.0, 3.0]], [[3.0, 0.0]]])  # (3, rank 1, out 2)
    return MixedLinear(base.requires_grad_(requires_grad=False), down, up)


def rows(*numbers: tuple[float, float]) -> torch.Tensor:
    return torch.tensor([[number] for number in numbers], dtype=torch.float32)  # (B, 1, 2)


def test_each_row_has_its_own_adapter() -> None:
    mixed = layer()
    mixed.choose([2, 0, 1])
    said = mixed(rows((1, 10), (1, 10), (1, 10)))
    # 2 * (1, 10) = (2, 20), and 3 * 10 to the first; nothing; 3 * 1 to the second.
    assert said.squeeze(1).tolist() == [[32, 20], [2, 20], [2, 23]]


def test_one_adapter_for_all_is_the_same_as_one_each() -> None:
    mixed, x = layer(), torch.randn(4, 3, 2)
    mixed.choose([1, 1, 1, 1])
    alone = mixed(x)
    mixed.choose([1, 1, 1, 2])
    assert torch.equal(mixed(x)[:3], alone[:3])


def test_after_a_batch_the_base_is_left_even_where_it_broke_off() -> None:
    mixed, x = layer(), rows((1, 10))

    def break_off() -> None:
        with Mixture([mixed]).answering([1]):
            assert mixed(x).tolist() == [[[2, 23]]]
            raise MemoryError

    with pytest.raises(MemoryError):
        break_off()
    assert mixed(x).tolist() == [[[2, 20]]]


@pytest.mark.parametrize("x", [torch.zeros(6, 2), torch.zeros(3, 1, 2)])
def test_rows_that_are_not_the_batches_are_refused(x: torch.Tensor) -> None:
    mixed = layer()
    mixed.choose([1, 2])
    with pytest.raises(ValueError, match="2 rows"):
        mixed(x)
