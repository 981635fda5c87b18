"""Losses and their gradients against torch's own, which keep every logit."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.head import CLICK, UTILITY
from training.softmax import FullSoftmaxLoss, objective_loss, sampled_softmax_loss

B, N, D = 600, 50, 8  # more users than one chunk


def full_softmax(
    users: Tensor, items: Tensor, bias: Tensor, targets: Tensor, weights: Tensor
) -> Tensor:
    loss: Tensor = FullSoftmaxLoss.apply(  # type: ignore[no-untyped-call]
        users, items, bias, targets, weights, torch.float32
    )
    return loss


def reference(
    users: Tensor, items: Tensor, bias: Tensor, targets: Tensor, weights: Tensor
) -> Tensor:
    logits = users @ items.T + bias
    return (weights * functional.cross_entropy(logits, targets, reduction="none")).mean()


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    make = torch.Generator().manual_seed(seed)
    users, items, bias = (torch.randn(shape, generator=make) for shape in ((B, D), (N, D), (N,)))
    targets = torch.randint(N, (B,), generator=make)
    return users, items, bias, targets, torch.rand(B, generator=make) * 3


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, of))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_chunked_loss_and_its_gradients_are_weighted_cross_entropy(seed: int) -> None:
    users, items, bias, targets, weights = inputs(seed)
    learnt = [tensor.requires_grad_() for tensor in (users, items, bias)]
    ours = full_softmax(users, items, bias, targets, weights) * 2.5
    theirs = reference(users, items, bias, targets, weights) * 2.5
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for own, other in zip(gradients(ours, *learnt), gradients(theirs, *learnt), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)


def test_a_user_of_weight_zero_teaches_nothing() -> None:
    users, items, bias, targets, weights = inputs()
    weights[7] = 0
    users.requires_grad_()
    (by_user,) = gradients(full_softmax(users, items, bias, targets, weights), users)
    assert not by_user[7].any()
    assert by_user[8].any()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_sample_of_everything_is_the_full_softmax(weighted: bool) -> None:
    """Each item drawn as often as expected: nothing is left to chance, nor to be corrected."""
    users, items, bias, targets, weights = inputs()
    if not weighted:
        weights = torch.ones(B)
    times = torch.arange(N) % 3 + 1
    rows = torch.arange(N).repeat_interleave(times)
    together = torch.cat([targets, rows])
    # The target stands in the list once, beside negatives of which its own copies are masked.
    expected = torch.cat([torch.zeros(B), times.log()[rows]])
    sampled = sampled_softmax_loss(
        users, items[together], bias[together], expected, rows, targets, weights
    )
    torch.testing.assert_close(sampled, reference(users, items, bias, targets, weights))


def test_a_random_sample_estimates_the_full_partition_and_without_logq_does_not() -> None:
    rng = np.random.default_rng(0)
    users, items, bias, _, _ = inputs()
    one, m = users[:1] * 0.3, 20_000
    chances = rng.dirichlet(np.ones(N))
    drawn = torch.from_numpy(rng.choice(N, m, p=chances))
    target = torch.tensor([0])
    expected = torch.from_numpy(np.log(chances * m)).float()
    together = torch.cat([target, drawn])

    def loss(log_expected: Tensor) -> float:
        log_expected = torch.cat([torch.zeros(1), log_expected[drawn]])  # the target is there
        return float(
            sampled_softmax_loss(
                one, items[together], bias[together], log_expected, drawn, target, torch.ones(1)
            )
        )

    full = float(reference(one, items, bias, target, torch.ones(1)))
    assert loss(expected) == pytest.approx(full, rel=0.02)
    uncorrected = loss(torch.full((N,), float(np.log(m / N))))
    assert abs(uncorrected - full) > 0.05 * full


def test_a_target_among_the_negatives_is_not_held_against_itself() -> None:
    one, same, other = torch.tensor([[1.0]]), [2.0], [1.0]
    items = torch.tensor([same, same, other])
    nothing = torch.zeros(3)
    loss = sampled_softmax_loss(
        one, items, nothing, nothing, torch.tensor([4, 9]), torch.tensor([4]), torch.ones(1)
    )
    assert float(loss) == pytest.approx(np.log1p(np.exp(-1.0)), rel=1e-5)


def test_sampled_weights_multiply_each_users_loss() -> None:
    users, items, bias, targets, _ = inputs()
    rows = torch.arange(10)
    together = torch.cat([targets[:2], rows])

    def loss(*weights: float) -> float:
        return float(
            sampled_softmax_loss(
                users[:2],
                items[together],
                bias[together],
                torch.zeros(12),
                rows,
                targets[:2],
                torch.tensor(weights, dtype=torch.float32),
            )
        )

    assert loss(3, 0.5) == pytest.approx(3 * loss(1, 0) + 0.5 * loss(0, 1), rel=1e-5)


def test_a_click_is_learnt_by_log_loss() -> None:
    loss = objective_loss(
        CLICK,
        torch.tensor([1.0]),
        torch.tensor([[0.0, -1.0]]),
        torch.tensor([9.0]),
        torch.tensor(2.0),
        torch.tensor(0.5),
    )
    terms = [np.log1p(np.exp(-2.5)), np.log1p(np.exp(0.5)), np.log1p(np.exp(-1.5))]
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-5)


def test_utility_is_learnt_by_squared_error_in_units_of_fifteen() -> None:
    loss = objective_loss(
        UTILITY,
        torch.tensor([0.2]),
        torch.tensor([[0.3, -5.0]]),
        torch.tensor([12.0]),
        torch.tensor(2.0),
        torch.tensor(0.1),
    )
    terms = [(0.5 - 12 / 15) ** 2, 0.7**2, 0]
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-5)
