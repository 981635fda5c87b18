from pathlib import Path

import pytest

from training.config import ConfigError, TowerConfig, TrainingConfig, read_config


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
    ],
)
def test_a_wrong_file_is_refused_by_key(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, text))
    assert reason in str(caught.value)


def test_defaults_follow_from_the_size_of_the_log() -> None:
    small, middling, large = (TowerConfig.for_events(n) for n in (10_000, 100_000, 1_000_000))
    assert small.passes == 0
    assert middling.factor_learning_rate == 0 < large.factor_learning_rate
    assert TrainingConfig(towers=small).for_events(1_000_000).towers == small
