"""Softmax over the whole catalogue, in chunks, so that no (batch, items) array is ever kept."""

from typing import Any

import torch
from torch import Tensor

_CHUNK = 256


class FullSoftmaxLoss(torch.autograd.Function):
    """Mean cross entropy of `users @ items.T + bias` against the target items.

    Gradients are computed on the way forward, chunk by chunk, which needs each logit once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        targets: Tensor,
        precision: torch.dtype,
    ) -> Tensor:
        low_users, low_items = users.to(precision), items.to(precision)
        by_user = torch.empty_like(users)
        by_item = torch.zeros_like(items)
        by_bias = torch.zeros_like(bias)
        loss = users.new_zeros(())
        for start in range(0, len(users), _CHUNK):
            part = slice(start, start + _CHUNK)
            logits = (low_users[part] @ low_items.T).float().add_(bias)
            at = torch.arange(len(logits)), targets[part]
            chosen = logits[at]
            probability = torch.softmax(logits, dim=1, out=logits)
            loss -= probability[at].clamp(min=1e-30).log().sum()
            del chosen
            probability[at] -= 1
            by_bias += probability.sum(dim=0)
            low = probability.to(precision)
            by_user[part] = low @ low_items
            by_item += low.T @ low_users[part]
        ctx.save_for_backward(by_user, by_item, by_bias)
        ctx.n = len(users)
        return loss / len(users)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_user, by_item, by_bias = ctx.saved_tensors
        scale = grads[0] / ctx.n
        return by_user * scale, by_item * scale, by_bias * scale, None, None
