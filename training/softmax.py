"""Softmax losses over a catalogue: every item a negative, or a shared, corrected sample."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.head import CLICK, MAX_UTILITY

_CHUNK = 256


def matmul_precision() -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, else float32."""
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


class FullSoftmaxLoss(torch.autograd.Function):
    """Mean cross entropy of `users @ items.T + bias` against the target items.

    Takes (b, d) users, (n, d) items, (n,) bias, (b,) int64 targets, (b,) weights of the users and
    the precision of products.
    Gradients are computed on the way forward, chunk by chunk, so that each logit is needed once
    and no (b, n) array is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        targets: Tensor,
        weights: Tensor,
        precision: torch.dtype,
    ) -> Tensor:
        low_users, low_items = users.to(precision), items.to(precision)
        by_user, by_item = torch.empty_like(users), torch.zeros_like(items)
        by_bias = torch.zeros_like(bias)
        loss = users.new_zeros(())
        for start in range(0, len(users), _CHUNK):
            part = slice(start, start + _CHUNK)
            logits = (low_users[part] @ low_items.T).float().add_(bias)
            probability = torch.softmax(logits, dim=1, out=logits)
            at = torch.arange(len(probability)), targets[part]
            loss -= weights[part] @ probability[at].clamp(min=1e-30).log()
            probability[at] -= 1
            probability *= weights[part, None]  # now the gradient of the logits
            by_bias += probability.sum(dim=0)
            low = probability.to(precision)
            by_user[part] = (low @ low_items).float()
            by_item += low.T @ low_users[part]
        ctx.save_for_backward(by_user, by_item, by_bias)
        ctx.n = len(users)
        return loss / len(users)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_user, by_item, by_bias = ctx.saved_tensors
        scale = grads[0] / ctx.n
        return by_user * scale, by_item * scale, by_bias * scale, None, None, None


def sampled_softmax_loss(
    users: Tensor,
    items: Tensor,
    bias: Tensor,
    log_expected: Tensor,
    rows: Tensor,
    targets: Tensor,
    weights: Tensor,
) -> Tensor:
    """Mean cross entropy against a shared sample of negatives, corrected by logQ.

    A logit minus the log of how often its item is expected in the sample makes the sampled softmax
    an estimate of the full one (Bengio, Senecal 2008; Yi et al. 2019).

    Args:
        users: (b, d).
        items: (b + m, d) vectors of the b targets, then of the m sampled negatives.
        bias: (b + m,).
        log_expected: (b + m,) log of the expected count in the sample.
        rows: (m,) rows of the negatives.
        targets: (b,) rows of the targets.
        weights: (b,) of the users.
    """
    b = len(users)
    corrected = bias - log_expected
    positive = (users * items[:b]).sum(dim=1) + corrected[:b]
    negative = users @ items[b:].T + corrected[b:]
    negative = negative.masked_fill(rows[None, :] == targets[:, None], -torch.inf)
    logits = torch.cat([positive[:, None], negative], dim=1)
    first = torch.zeros(b, dtype=torch.int64)
    return weights @ functional.cross_entropy(logits, first, reduction="none") / b


def objective_loss(
    objective: str, positive: Tensor, negative: Tensor, gains: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    """Mean loss of the head over positives and their sampled negatives.

    Log loss of sigmoid(scale * logit + bias) against clicked or not, or squared error of
    ReLU(scale * logit + bias) against utility, in units of 15 squared.

    Args:
        objective: `click` or `utility`.
        positive: (b,) logits.
        negative: (b, k) logits.
        gains: (b,) utilities of the positives, 0 to 15.
        scale, bias: the head.
    """
    logits = scale * torch.cat([positive[:, None], negative], dim=1) + bias
    outcome = torch.zeros_like(logits)
    if objective == CLICK:
        outcome[:, 0] = 1
        return functional.binary_cross_entropy_with_logits(logits, outcome)
    outcome[:, 0] = gains / MAX_UTILITY
    return functional.mse_loss(functional.relu(logits), outcome)
