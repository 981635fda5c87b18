"""Training settings: frozen dataclasses, read from TOML, saved as TOML beside the weights."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from models.errors import ReportedError
from models.evidence import EvidenceConfig
from models.head import CLICK, OBJECTIVES
from models.matrix_factorization import ALTERNATING, SOLVERS, FactorizationConfig
from models.neighbours import METRICS, MISSING
from training.baselines import GRIDS
from training.utility import UtilityWeights

T = TypeVar("T")


class ConfigError(ReportedError):
    """A training configuration that cannot be used; the text names file and key."""


TANDEM = "tandem"
TWO_TOWER = "two_tower"
STORED_METHODS = (TANDEM, TWO_TOWER, *GRIDS)
"""What can make the batch recommendations: the final score, the towers alone, known methods."""

IMPLICIT_FACTORS = FactorizationConfig(
    solver=ALTERNATING,
    dimensions=64,
    steps=12,
    unobserved_weight=0.1,
    regularization=0.015,
    frequency_exponent=1.0,
)
"""What ranks best on validation; see docs/factorization.md."""


@dataclass(frozen=True)
class TransitionConfig:
    """Item-to-item transitions, where the towers start from.

    Attributes:
        lags: farthest distance counted, in events.
        decay: weight ratio of one more event of distance.
    """

    lags: int = 10
    decay: float = 0.8


@dataclass(frozen=True)
class TowerConfig:
    """The two towers and how they are trained.

    Attributes:
        dimensions: width of the towers' output.
        hidden: width of hidden layers.
        history_length: most recent events looked at.
        decays: pools of the history; the first is where the user tower starts.
        dropout: share of hidden units dropped.
        event_dropout: share of history events dropped.
        item_dropout: share of items trained as if they had no events.
        passes: over all windows of all histories; 0 serves the start.
        learning_rate: of the networks.
        factor_learning_rate: of the two tables; 0 freezes them.
        weight_decay: of the networks.
        batch: windows a step.
        full_softmax_items: largest catalogue for which every item is a negative.
        negatives: shared negatives a step beyond that, half uniform, half by popularity ** .5.
        head_weight: of the objective's loss beside the softmax.
        refit: after choosing the number of passes, train again with the validation events.
        warm_passes: of a refresh that goes on from the release before.
        warm_starts: in a row at most; 0 always starts anew.
        seed: of everything random.
    """

    dimensions: int = 128
    hidden: int = 256
    history_length: int = 100
    decays: tuple[float, ...] = (0.6, 0.9, 0.98)
    dropout: float = 0.3
    event_dropout: float = 0.2
    item_dropout: float = 0.1
    passes: int = 8
    learning_rate: float = 2e-3
    factor_learning_rate: float = 0.0
    weight_decay: float = 0.01
    batch: int = 2048
    full_softmax_items: int = 5_000
    negatives: int = 1_024
    head_weight: float = 0.1
    refit: bool = True
    warm_passes: int = 2
    warm_starts: int = 7
    seed: int = 0

    @classmethod
    def for_events(cls, n_events: int) -> "TowerConfig":
        """Defaults that follow from the size of the log.

        A small log cannot teach the networks more than its transitions say, a middling one cannot
        teach the tables, and a large one needs few passes.
        """
        if n_events < 20_000:
            return cls(passes=0)
        if n_events < 300_000:
            return cls()
        trained = replace(cls(), factor_learning_rate=7e-4, learning_rate=1e-3, refit=False)
        if n_events < 3_000_000:
            return replace(trained, passes=3, dropout=0.1)
        return replace(trained, passes=1, dropout=0.1, batch=4096, full_softmax_items=0)


@dataclass(frozen=True)
class NeighbourConfig:
    """Item-item neighbours.

    Attributes:
        metric: a name in `models.neighbours.METRICS`.
        shrink: strength of shrinkage towards zero, in users in common.
        count: neighbours kept.
        missing: what a value that nobody gave counts as, a name in `models.neighbours.MISSING`.
        min_support: fewest users in common.
    """

    metric: str = "cosine"
    shrink: float = 20.0
    count: int = 100
    missing: str = "zero"
    min_support: int = 1


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of one training run.

    Attributes:
        utility: weights of the composite utility.
        factorization: of utility.
        transitions: item to item.
        neighbours: item to item.
        evidence: the parts of the final score besides the towers.
        objective: `click` (sigmoid, log loss) or `utility` (ReLU, squared error; events count by
            the utility they brought).
        towers: None takes the defaults for the log's size.
        stored_items: batch recommendations a user.
        stored_method: what makes them, a name in `STORED_METHODS`.
        threads: of linear algebra; None leaves torch's default.
    """

    utility: UtilityWeights = field(default_factory=UtilityWeights)
    factorization: FactorizationConfig = IMPLICIT_FACTORS
    transitions: TransitionConfig = field(default_factory=TransitionConfig)
    neighbours: NeighbourConfig = field(default_factory=NeighbourConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    objective: str = CLICK
    towers: TowerConfig | None = None
    stored_items: int = 100
    stored_method: str = TANDEM
    threads: int | None = None

    def with_objective(self, name: str) -> "TrainingConfig":
        """The same settings for another objective."""
        return replace(self, objective=name)

    def with_stored_method(self, name: str) -> "TrainingConfig":
        """The same settings with batch recommendations by another method.

        Raises:
            ConfigError: there is no such method.
        """
        check_stored_method(name)
        return replace(self, stored_method=name)

    def for_events(self, n_events: int) -> "TrainingConfig":
        """The same settings with every default filled in."""
        return replace(self, towers=self.towers or TowerConfig.for_events(n_events))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the manifest keeps them."""
        return asdict(self)

    def to_toml(self) -> str:
        """A document that `read_config` reads as an equal configuration."""
        given = {key: value for key, value in self.to_dict().items() if value is not None}
        return tomli_w.dumps(given)


def check_stored_method(name: str) -> None:
    """Passes the names in `STORED_METHODS`.

    Raises:
        ConfigError: any other.
    """
    if name not in STORED_METHODS:
        raise ConfigError(f"stored_method: {name!r} is not one of {', '.join(STORED_METHODS)}")


_SECTIONS: Mapping[str, type[Any]] = {
    "utility": UtilityWeights,
    "factorization": FactorizationConfig,
    "transitions": TransitionConfig,
    "neighbours": NeighbourConfig,
    "evidence": EvidenceConfig,
    "towers": TowerConfig,
}


def read_config(path: Path) -> TrainingConfig:
    """Reads a TOML file with one table a section (`[towers]`, `[factorization]`, ...).

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown or of another type, or a
            name is not one of those there are.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    values = {
        key: _build(_SECTIONS[key], value, f"{path}: {key}") if key in _SECTIONS else value
        for key, value in raw.items()
    }
    config = _build(TrainingConfig, values, str(path))
    for key, name, known in (
        ("objective", config.objective, OBJECTIVES),
        ("stored_method", config.stored_method, STORED_METHODS),
        ("factorization.solver", config.factorization.solver, SOLVERS),
        ("neighbours.metric", config.neighbours.metric, METRICS),
        ("neighbours.missing", config.neighbours.missing, MISSING),
    ):
        if name not in known:
            raise ConfigError(f"{path}: {key}: {name!r} is not one of {', '.join(known)}")
    return config


def _build(cls: type[T], values: Any, where: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected a table")
    assert is_dataclass(cls)
    known = {entry.name: entry for entry in fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown; one of {', '.join(sorted(known))}")
        wanted = known[key].type
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            values = {**values, key: float(value)}
        elif isinstance(value, list):
            values = {**values, key: tuple(value)}
        elif isinstance(wanted, type) and type(value) is not wanted:
            raise ConfigError(f"{where}.{key}: expected {wanted.__name__}, got {value!r}")
    return cls(**values)
