import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.head import OBJECTIVES
from models.matrix_factorization import SOLVERS
from models.neighbours import METRICS, MISSING
from training.config import STORED_METHODS, ConfigError, TowerConfig, TrainingConfig, read_config

_NAMES = {
    "objective": OBJECTIVES,
    "solver": SOLVERS,
    "metric": tuple(METRICS),
    "missing": MISSING,
    "stored_method": STORED_METHODS,
}
_LISTS = {"decays": st.lists(st.floats(allow_nan=False)).map(tuple)}


def _configs(like: Any) -> st.SearchStrategy[Any]:
    """Every field another than the default, as a file can say it."""

    def values(name: str, default: Any) -> st.SearchStrategy[Any]:
        if name in _NAMES:
            return st.sampled_from(_NAMES[name])
        if name in _LISTS:
            return _LISTS[name]
        if is_dataclass(default):
            return _configs(default)
        if isinstance(default, str):
            return st.just(default)
        kind = int if default is None else type(default)
        of_kind: st.SearchStrategy[Any] = {
            bool: st.booleans(),
            int: st.integers(-(2**63), 2**63 - 1),
            float: st.floats(allow_nan=False),
        }[kind]
        return of_kind if default is not None else st.none() | of_kind

    return st.builds(
        type(like),
        **{each.name: values(each.name, getattr(like, each.name)) for each in fields(like)},
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "training.toml"
    path.write_text(text)
    return path


def test_a_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    config = read_config(
        write(
            tmp_path,
            "stored_items = 5\n[towers]\npasses = 2\ndecays = [0.5, 0.9]\n[utility]\nlike = 3\n",
        )
    )
    assert config.stored_items == 5
    assert config.towers == TowerConfig(passes=2, decays=(0.5, 0.9))
    assert config.utility.like == 3.0
    assert config.neighbours == TrainingConfig().neighbours


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[towers]\npases = 2\n", "towers.pases: unknown"),
        ("[towers]\npasses = 'two'\n", "towers.passes: expected int, got 'two'"),
        ("towers = 3\n", "towers: expected a table"),
        ("[towers\n", "training.toml: "),
        ("[neighbours]\nmin_support = 1.5\n", "neighbours.min_support: expected int, got 1.5"),
        (
            "[neighbours]\nmissing = 'none'\n",
            "neighbours.missing: 'none' is not one of zero, ignore, user_average, item_average, "
            "infinity",
        ),
        (
            "[neighbours]\nmetric = 'angle'\n",
            "neighbours.metric: 'angle' is not one of cosine, ",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_key(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, text))
    assert reason in str(caught.value)


@given(_configs(TrainingConfig(towers=TowerConfig())))
def test_what_is_written_reads_as_an_equal_configuration(config: TrainingConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert read_config(write(Path(folder), config.to_toml())) == config


def test_towers_that_follow_from_the_log_still_do_after_writing(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, TrainingConfig().to_toml())) == TrainingConfig()


def test_defaults_follow_from_the_size_of_the_log() -> None:
    small, middling, large = (TowerConfig.for_events(n) for n in (10_000, 100_000, 1_000_000))
    assert small.passes == 0
    assert middling.factor_learning_rate == 0 < large.factor_learning_rate
    assert TrainingConfig(towers=small).for_events(1_000_000).towers == small
