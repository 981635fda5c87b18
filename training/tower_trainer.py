"""One training run of the two towers over one log."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from models.features import FeatureSchema, UserTensors, user_tensors
from models.head import MAX_UTILITY, UTILITY, check_objective
from models.metadata import MetadataEncoder
from models.popularity import popularity
from models.release import Items
from models.scorer import TowerScorer
from models.sparse_products import sparse_product
from models.transitions import factorize, transition_affinity, transition_counts
from models.two_tower import RESIDUAL_SCALE, TowerShape, TwoTower, UserTower
from training.config import TowerConfig, TrainingConfig
from training.learnt import Learnt, last_layers, tables
from training.sampling import NEGATIVES_A_POSITIVE, mixed_distribution
from training.sequences import EventSequences
from training.softmax import (
    FullSoftmaxLoss,
    matmul_precision,
    objective_loss,
    sampled_softmax_loss,
)
from training.windows import Windows

_MAX_REGIONS = 64
_NEGLIGIBLE = 1e-5  # weight of an event in a pool
_COLD_RIDGE = 10.0  # items of evidence that a genre must outweigh
_COLD_QUANTILE = 0.05  # a new item's bias, among those of known items


class TowerTrainer:
    """Trains towers; every pass goes over all windows of all histories, in random order.

    A window is an item new to its user, predicted from strictly earlier events.

    Args:
        log: events to learn from.
        items: the catalogue.
        config: with its defaults filled in.
        half_life_days: of the popularity that users without history are served.
        learnt: what to go on from; None starts anew.
    """

    def __init__(
        self,
        log: EventSequences,
        items: Items,
        config: TrainingConfig,
        half_life_days: float,
        learnt: Learnt | None = None,
    ) -> None:
        towers = config.for_events(len(log)).towers
        assert towers is not None
        check_objective(config.objective)
        self._objective = config.objective
        self._config: TowerConfig = towers
        self._windows = Windows(log)
        self._taste = self._windows.taste
        self._known, self._chances = mixed_distribution(self._taste)
        gains = config.utility.of_events(self._taste.kinds, self._taste.values)
        self._gains = torch.from_numpy(np.minimum(gains, MAX_UTILITY))
        self._mean_gain = max(float(self._gains.mean()), 1e-6) if len(gains) else 1.0
        self._rng = np.random.default_rng(towers.seed)
        self._generator = torch.Generator().manual_seed(towers.seed)
        self._encoder = learnt.encoder if learnt else MetadataEncoder.fit(items.genres)
        self._metadata = torch.from_numpy(self._encoder.encode(items.genres, items.years))
        self._model = self._build(len(items), log.region_names)
        self._start_from_transitions(config)
        self._set_prior(half_life_days)
        if learnt:
            learnt.put_into(self._model)
        self._start_tables = [table.detach().clone() for table in tables(self._model)]
        self._optimizer = self._make_optimizer()
        self._precision = matmul_precision()
        self._steps_a_pass = -(-len(self._windows) // towers.batch)
        self._step = 0

    def one_pass(self, progress: Callable[[int, int], None]) -> None:
        """Trains on every window once."""
        self._model.train()
        order = self._rng.permutation(self._windows.positions)
        with torch.random.fork_rng(devices=[]):
            for done in range(self._steps_a_pass):
                # Dropout knows no generator of its own; the seed makes it this run's and step's.
                torch.manual_seed(self._config.seed * 1_000_003 + self._step)
                batch = order[done * self._config.batch : (done + 1) * self._config.batch]
                self._decay_learning_rate()
                self._optimizer.zero_grad()
                self._loss(batch).backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                progress(done + 1, self._steps_a_pass)

    def state(self) -> dict[str, Any]:
        """All that passes change or are measured against; the next pass changes it in place."""
        return {
            "model": self._model.state_dict(),
            "start_tables": self._start_tables,
            "optimizer": self._optimizer.state_dict(),
            "rng": self._rng.bit_generator.state,
            "generator": self._generator.get_state(),
            "step": self._step,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from another trainer's `state`, of equal arguments, as that one would have."""
        self._model.load_state_dict(state["model"])
        self._start_tables = list(state["start_tables"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rng.bit_generator.state = state["rng"]
        self._generator.set_state(state["generator"])
        self._step = state["step"]

    @torch.no_grad()
    def snapshot(self, share: float = 1.0) -> TowerScorer:
        """A copy of the model with its item vectors, `share` of the way from the start to now; the
        start is that from transitions, also of one that goes on from what others learnt.

        Between the two, models are often better than at either end (Wortsman et al. 2022,
        2109.01903): what was learnt is kept, and less of what was learnt by heart. The temperature
        stays as learnt: it changes no order.
        """
        model = copy.deepcopy(self._model).eval()
        for layer in last_layers(model):
            layer.weight.mul_(share)  # the start's are zero
            layer.bias.mul_(share)
        model.item.bias.mul_(share)
        for table, start in zip(tables(model), self._start_tables, strict=True):
            table.lerp_(start, 1 - share)
        known = torch.from_numpy(self._known)
        if len(known):
            model.item.cold_bias.copy_(model.item.bias[known].quantile(_COLD_QUANTILE))
        return TowerScorer(model, self._encoder, model.item.folded(self._metadata).numpy())

    def _build(self, n_items: int, region_names: Sequence[str]) -> TwoTower:
        schema = feature_schema(self._config, region_names)
        shape = TowerShape(
            n_items=n_items,
            metadata=self._encoder.width,
            dimensions=self._config.dimensions,
            hidden=self._config.hidden,
            dropout=self._config.dropout,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._config.seed)
            return TwoTower(shape, schema)

    @torch.no_grad()
    def _start_from_transitions(self, config: TrainingConfig) -> None:
        item = self._model.item
        counts = transition_counts(
            self._taste.rows,
            self._taste.offsets,
            len(self._metadata),
            lags=config.transitions.lags,
            decay=config.transitions.decay,
        )
        start = factorize(transition_affinity(counts), self._config.dimensions, self._config.seed)
        self._model.user.context.weight.copy_(torch.from_numpy(start.context))
        item.target.weight.copy_(torch.from_numpy(start.target))
        item.known.fill_(False)
        item.known[torch.from_numpy(self._known)] = True
        if len(self._known):
            size = item.target.weight[item.known].square().mean().sqrt()
            item.scale.copy_(RESIDUAL_SCALE * size)
        item.metadata_to_target.copy_(self._from_metadata(item.target.weight))
        # Who just watched what nobody had watched before says something, too.
        context = self._model.user.context.weight
        imputed = self._metadata[~item.known] @ self._from_metadata(context)
        # Regression shrinks; in a pool of the history they must not count less than others.
        shrunk = imputed.norm(dim=1).mean().clamp(min=1e-9)
        if len(self._known):
            context[~item.known] = imputed * (context[item.known].norm(dim=1).mean() / shrunk)

    def _from_metadata(self, table: Tensor) -> Tensor:
        """(m, d) matrix that turns metadata into rows of an (n, d) table, by ridge regression over
        the items that have events."""
        known = self._model.item.known
        metadata = self._metadata[known]
        ridge = _COLD_RIDGE * torch.eye(metadata.shape[1])
        solved: Tensor = torch.linalg.solve(
            metadata.T @ metadata + ridge, metadata.T @ table[known]
        )
        return solved

    @torch.no_grad()
    def _set_prior(self, half_life_days: float) -> None:
        item, taste = self._model.item, self._taste
        now = float(taste.times.max(initial=0.0))
        counts = popularity(
            taste.rows, taste.times, len(item.prior), now=now, half_life_days=half_life_days
        )
        item.prior.copy_(torch.from_numpy(np.log(counts + 1e-6)))
        item.cold_prior.copy_(item.prior.min())

    def _make_optimizer(self) -> torch.optim.Optimizer:
        config, model = self._config, self._model
        factors = tables(model)
        networks = [p for p in model.parameters() if not any(p is table for table in factors)]
        groups = [
            {"params": networks, "lr": config.learning_rate, "weight_decay": config.weight_decay}
        ]
        if config.factor_learning_rate > 0:
            groups.append(
                {"params": factors, "lr": config.factor_learning_rate, "weight_decay": 0.0}
            )
        else:
            for table in factors:
                table.requires_grad_(False)
        return torch.optim.AdamW(groups)

    def _decay_learning_rate(self) -> None:
        left = 1 - self._step / max(1, self._steps_a_pass * self._config.passes)
        rates = (self._config.learning_rate, self._config.factor_learning_rate)
        for group, rate in zip(self._optimizer.param_groups, rates, strict=False):
            group["lr"] = rate * left
        self._step += 1

    def _loss(self, batch: NDArray[np.int64]) -> Tensor:
        inputs = self._inputs(batch)
        pools = sparse_pools(self._model.user, inputs)
        users = self._model.user.refine(pools, inputs.context) * self._model.log_temperature.exp()
        places = np.searchsorted(self._known, self._taste.rows[batch])
        gains = self._gains[torch.from_numpy(batch)]
        by_utility = self._objective == UTILITY
        weights = gains / self._mean_gain if by_utility else torch.ones(len(batch))
        if len(self._known) <= self._config.full_softmax_items:
            return self._full_loss(users, places, gains, weights)
        return self._sampled_loss(users, places, gains, weights)

    def _inputs(self, batch: NDArray[np.int64]) -> UserTensors:
        windows = self._windows.batch(batch, self._config.history_length)
        inputs = user_tensors(windows, self._model.schema)
        kept = torch.rand(inputs.present.shape, generator=self._generator)
        present = inputs.present & (kept >= self._config.event_dropout)
        return UserTensors(inputs.rows, present, inputs.context)

    def _item_vectors(self, rows: Tensor) -> Tensor:
        item, metadata = self._model.item, self._metadata[rows]
        dropped = torch.rand(len(rows), 1, generator=self._generator) < self._config.item_dropout
        target = torch.where(dropped, item.cold_targets(metadata), item.target.weight[rows])
        low = self._precision == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            vectors: Tensor = item(target, metadata)
        return vectors.float()

    def _full_loss(
        self, users: Tensor, places: NDArray[np.int64], gains: Tensor, weights: Tensor
    ) -> Tensor:
        known = torch.from_numpy(self._known).long()
        vectors, bias = self._item_vectors(known), self._model.item.bias[known]
        softmax: Tensor = FullSoftmaxLoss.apply(  # type: ignore[no-untyped-call]
            users, vectors, bias, torch.from_numpy(places), weights, self._precision
        )
        shape = (len(places), NEGATIVES_A_POSITIVE)
        drawn = self._rng.choice(len(self._known), shape, p=self._chances)
        return softmax + self._head_loss(users, vectors, bias, places, drawn, gains)

    def _sampled_loss(
        self, users: Tensor, places: NDArray[np.int64], gains: Tensor, weights: Tensor
    ) -> Tensor:
        negatives = self._config.negatives
        drawn = self._rng.choice(len(self._known), negatives, p=self._chances)
        together = np.concatenate([places, drawn])
        rows = torch.from_numpy(self._known[together]).long()
        expected = torch.from_numpy(np.log(self._chances[together] * negatives)).float()
        vectors, bias = self._item_vectors(rows), self._model.item.bias[rows]
        softmax = sampled_softmax_loss(
            users,
            vectors,
            bias,
            expected,
            torch.from_numpy(drawn),
            torch.from_numpy(places),
            weights,
        )
        b = len(places)
        few = b + self._rng.integers(negatives, size=(b, NEGATIVES_A_POSITIVE))
        return softmax + self._head_loss(users, vectors, bias, np.arange(b), few, gains)

    def _head_loss(
        self,
        users: Tensor,
        vectors: Tensor,
        bias: Tensor,
        positive: NDArray[np.int64],
        negative: NDArray[np.int64],
        gains: Tensor,
    ) -> Tensor:
        """Of the objective; (b,) and (b, k) places of positives and negatives among `vectors`."""
        if not self._config.head_weight:
            return users.new_zeros(())
        places = torch.from_numpy(np.concatenate([positive[:, None], negative], axis=1))
        logits = torch.einsum("bd,bkd->bk", users, vectors[places]) + bias[places]
        model = self._model
        loss = objective_loss(
            self._objective,
            logits[:, 0],
            logits[:, 1:],
            gains,
            model.head_scale,
            model.head_bias,
        )
        return self._config.head_weight * loss


def feature_schema(config: TowerConfig, region_names: Sequence[str]) -> FeatureSchema:
    """Of towers that are trained on a log with these regions."""
    return FeatureSchema(
        history_length=config.history_length,
        decays=config.decays,
        regions=tuple(sorted({*region_names} - {""}))[:_MAX_REGIONS],
    )


def sparse_pools(tower: UserTower, users: UserTensors) -> Tensor:
    """`tower.pools(users)` of a large batch, several times faster, most of all backwards.

    Most weights of the steeper decays are next to zero; those below `_NEGLIGIBLE` are left out.
    """
    weights = tower.weights(users)
    b, p, length = weights.shape
    flat = weights.reshape(b * p, length).numpy()
    bags, places = np.nonzero(flat > _NEGLIGIBLE)
    columns = users.rows.numpy()[bags // p, places]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(bags, minlength=b * p))])
    table = tower.context.weight
    matrix = csr_array((flat[bags, places], columns, offsets), shape=(b * p, len(table)))
    return sparse_product(matrix, table).view(b, p, -1)
