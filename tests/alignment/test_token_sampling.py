"""The next token of every row, by its own wishes."""

from __future__ import annotations

import torch

from gpa_agent.alignment.sampling import Sampler, Sampling, draw, nucleus

CPU = torch.device("cpu")


def test_a_uniform_number_is_turned_into_a_token() -> None:
    # Cumulative .2 .2 .7 1: [0, .2) is token 0, [.2, .7) is 2, [.7, 1) is 3; 1 has no chance.
    chances = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).double().expand(6, 4)
    uniforms = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.999]).double()
    assert draw(chances, uniforms).tolist() == [0, 0, 2, 2, 3, 3]


def test_rows_need_not_sum_to_one() -> None:
    # Of .2 and .4 the first is a third: .3 * .6 = .18 < .2 <= .4 * .6 = .24.
    chances = torch.tensor([[0.2, 0.4], [0.2, 0.4]]).double()
    assert draw(chances, torch.tensor([0.3, 0.4]).double()).tolist() == [0, 1]


def test_no_numbers_do_not_crash() -> None:
    assert draw(torch.full((1, 3), float("nan")), torch.tensor([0.5])).tolist() == [2]


def test_the_nucleus_is_the_fewest_likeliest() -> None:
    # .5 alone is less than .6, .5 + .3 is enough: the third is out, where .9 needs it.
    chances = torch.tensor([[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
    kept = nucleus(chances, torch.tensor([0.6, 0.9])) > 0
    assert kept.tolist() == [[True, True, False], [True, True, True]]


def test_the_likeliest_is_always_kept() -> None:
    assert (nucleus(torch.tensor([[0.9, 0.1]]), torch.tensor([1e-9])) > 0).tolist() == [
        [True, False]
    ]


def test_zero_temperature_takes_the_likeliest_beside_rows_that_sample() -> None:
    logits = torch.tensor([[0.0, 0.1, 0.0]]).expand(2, 3)
    sampler = Sampler([Sampling(0.0), Sampling(5.0, seed=1)], CPU)
    drawn = [sampler.pick(logits).tolist() for _ in range(60)]
    assert {row[0] for row in drawn} == {1}
    assert {row[1] for row in drawn} == {0, 1, 2}


def test_draws_follow_the_distribution() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.6, 0.3]]))
    sampler = Sampler([Sampling(1.0, seed=0)], CPU)
    drawn = torch.stack([sampler.pick(logits)[0] for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=3) / 4000
    # Three standard errors of a share of .6 over 4000 draws: 3 * sqrt(.24 / 4000) = .023.
    assert (shares - torch.tensor([0.1, 0.6, 0.3])).abs().max() < 0.024


def test_a_row_draws_the_same_whoever_is_beside_it() -> None:
    logits = torch.randn(50, 1, 20, generator=torch.Generator().manual_seed(0))
    alone = Sampler([Sampling(1.0, 0.8, seed=7)], CPU)
    beside = Sampler([Sampling(0.3, seed=1), Sampling(1.0, 0.8, seed=7), Sampling(0.0)], CPU)
    for step in logits:
        assert alone.pick(step)[0] == beside.pick(step.expand(3, 20))[1]


def test_without_a_seed_numbers_are_new() -> None:
    logits = torch.zeros(1, 1000)
    first, second = (Sampler([Sampling(1.0)], CPU) for _ in range(2))
    assert [first.pick(logits) for _ in range(8)] != [second.pick(logits) for _ in range(8)]
