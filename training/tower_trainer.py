"""One training run of the two towers over one log."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.features import FeatureSchema, UserTensors, user_tensors
from models.metadata import MetadataEncoder
from models.popularity import popularity
from models.release import Items
from models.scorer import TowerScorer
from models.transitions import factorize, transition_affinity, transition_counts
from models.two_tower import RESIDUAL_SCALE, TowerShape, TwoTower
from training.config import TowerConfig, TrainingConfig
from training.sequences import EventSequences
from training.softmax import FullSoftmaxLoss, matmul_precision, sampled_softmax_loss

_MAX_REGIONS = 64
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
    """

    def __init__(
        self, log: EventSequences, items: Items, config: TrainingConfig, half_life_days: float
    ) -> None:
        towers = config.for_events(len(log)).towers
        assert towers is not None
        self._config: TowerConfig = towers
        self._taste = log.taste()
        self._windows = self._taste.first_touches()
        self._known = np.unique(self._taste.rows)
        self._rng = np.random.default_rng(towers.seed)
        self._generator = torch.Generator().manual_seed(towers.seed)
        self._encoder = MetadataEncoder.fit(items.genres)
        self._metadata = torch.from_numpy(self._encoder.encode(items.genres, items.years))
        self._model = self._build(len(items), log.region_names)
        self._start_from_transitions(config)
        self._set_prior(half_life_days)
        self._optimizer = self._make_optimizer()
        self._precision = matmul_precision()
        self._steps_a_pass = -(-len(self._windows) // towers.batch)
        self._step = 0

    def one_pass(self, progress: Callable[[int, int], None]) -> None:
        """Trains on every window once."""
        self._model.train()
        order = self._rng.permutation(self._windows)
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

    @torch.no_grad()
    def snapshot(self) -> TowerScorer:
        """A copy of the model as it is now, with its item vectors."""
        model = copy.deepcopy(self._model).eval()
        known = torch.from_numpy(self._known)
        if len(known):
            model.item.cold_bias.copy_(model.item.bias[known].quantile(_COLD_QUANTILE))
        return TowerScorer(model, self._encoder, model.item.folded(self._metadata).numpy())

    def _build(self, n_items: int, region_names: Sequence[str]) -> TwoTower:
        schema = FeatureSchema(
            history_length=self._config.history_length,
            decays=self._config.decays,
            regions=tuple(sorted({*region_names} - {""}))[:_MAX_REGIONS],
        )
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
        item.scale.copy_(RESIDUAL_SCALE * item.target.weight[item.known].square().mean().sqrt())
        metadata, target = self._metadata[item.known], item.target.weight[item.known]
        ridge = _COLD_RIDGE * torch.eye(metadata.shape[1])
        item.metadata_to_target.copy_(
            torch.linalg.solve(metadata.T @ metadata + ridge, metadata.T @ target)
        )

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
        tables = [model.user.context.weight, model.item.target.weight]
        networks = [p for p in model.parameters() if not any(p is table for table in tables)]
        groups = [
            {"params": networks, "lr": config.learning_rate, "weight_decay": config.weight_decay}
        ]
        if config.factor_learning_rate > 0:
            groups.append(
                {"params": tables, "lr": config.factor_learning_rate, "weight_decay": 0.0}
            )
        else:
            for table in tables:
                table.requires_grad_(False)
        return torch.optim.AdamW(groups)

    def _decay_learning_rate(self) -> None:
        left = 1 - self._step / max(1, self._steps_a_pass * self._config.passes)
        rates = (self._config.learning_rate, self._config.factor_learning_rate)
        for group, rate in zip(self._optimizer.param_groups, rates, strict=False):
            group["lr"] = rate * left
        self._step += 1

    def _loss(self, batch: NDArray[np.int64]) -> Tensor:
        users = self._model.user(self._inputs(batch)) * self._model.log_temperature.exp()
        targets = self._taste.rows[batch]
        if len(self._metadata) <= self._config.full_softmax_items:
            return self._full_loss(users, targets)
        return self._sampled_loss(users, targets)

    def _inputs(self, batch: NDArray[np.int64]) -> UserTensors:
        windows = self._taste.windows(batch, self._config.history_length)
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

    def _full_loss(self, users: Tensor, targets: NDArray[np.int32]) -> Tensor:
        known = torch.from_numpy(self._known).long()
        place = torch.from_numpy(np.searchsorted(self._known, targets))
        loss: Tensor = FullSoftmaxLoss.apply(  # type: ignore[no-untyped-call]
            users, self._item_vectors(known), self._model.item.bias[known], place, self._precision
        )
        return loss

    def _sampled_loss(self, users: Tensor, targets: NDArray[np.int32]) -> Tensor:
        sampling = self._sampling()
        places = np.searchsorted(self._known, targets)
        drawn = self._rng.choice(len(self._known), self._config.negatives, p=sampling)
        together = np.concatenate([places, drawn])
        rows = torch.from_numpy(self._known[together]).long()
        expected = torch.from_numpy(np.log(sampling[together] * self._config.negatives)).float()
        return sampled_softmax_loss(
            users,
            self._item_vectors(rows),
            self._model.item.bias[rows],
            expected,
            torch.from_numpy(drawn),
            torch.from_numpy(places),
        )

    def _sampling(self) -> NDArray[np.float64]:
        counts = np.bincount(self._taste.rows, minlength=len(self._metadata))[self._known]
        by_popularity = np.sqrt(counts)
        mixed: NDArray[np.float64] = 0.5 / len(counts) + 0.5 * by_popularity / by_popularity.sum()
        return mixed
