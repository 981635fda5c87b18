"""A training run that was killed goes on after its last finished pass, to the same weights."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.logs import catalogue, sequences
from training.checkpoints import Checkpoints, checkpoints_of, remove_checkpoints
from training.config import TowerConfig, TrainingConfig
from training.sequences import EventSequences
from training.two_tower import TowerFit, fit_towers

ITEMS = catalogue(40, ("a", "b"))
TOWERS = TowerConfig(
    dimensions=8,
    hidden=32,
    passes=3,
    batch=128,
    learning_rate=1e-2,
    factor_learning_rate=1e-3,
    full_softmax_items=0,
    negatives=16,
    seed=1,
)
CONFIG = TrainingConfig(towers=TOWERS)


def rings(n_users: int = 120) -> EventSequences:
    """Users walk rings of ten items: after item i comes i + 1 of the same ring."""
    rng = np.random.default_rng(0)
    starts = rng.integers(10, size=n_users)
    return sequences(
        *[
            [user % 3 * 10 + (int(start) + step) % 10 for step in range(8)]
            for user, start in enumerate(starts)
        ]
    )


class Killed(Exception):
    """Stands for the end of the process."""


class Passes:
    """Progress that counts finished passes, and may end the run in the middle of one."""

    def __init__(self, killed_in: int | None = None) -> None:
        self.seen: set[int] = set()
        self._killed_in = killed_in

    def __call__(self, done: int, of: int) -> None:
        in_all = 2 * TOWERS.passes
        self.seen.add((done - 1) * in_all // of + 1)
        if self._killed_in is not None and done * in_all > (self._killed_in - 1) * of:
            raise Killed


def fit(
    folder: Path | None, progress: Callable[[int, int], None], config: TrainingConfig = CONFIG
) -> TowerFit:
    return fit_towers(rings(), ITEMS, config, np.inf, progress, folder)


@pytest.fixture(scope="module")
def whole() -> TowerFit:
    found = fit(None, Passes())
    assert found.passes > 1  # else there were no refit to be killed in
    return found


def passes_from(first: int, whole: TowerFit) -> set[int]:
    """Numbers of the passes that are left, of the trial and of the refit after it."""
    return set(range(first, TOWERS.passes + whole.passes + 1))


def assert_equal(found: TowerFit, expected: TowerFit) -> None:
    for one, other in (
        (found.scorer, expected.scorer),
        (found.unaware, expected.unaware),
    ):
        weights, others = one.model.state_dict(), other.model.state_dict()
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights)
        np.testing.assert_array_equal(one.item_vectors, other.item_vectors)
    assert (found.passes, found.share, found.gain, found.chosen, found.validation) == (
        expected.passes,
        expected.share,
        expected.gain,
        expected.chosen,
        expected.validation,
    )


@pytest.mark.parametrize("killed_in", [1, 2, 3, 4, 5])
def test_a_killed_run_ends_like_one_that_was_not(
    whole: TowerFit, tmp_path: Path, killed_in: int
) -> None:
    with pytest.raises(Killed):
        fit(tmp_path, Passes(killed_in))
    rest = Passes()
    assert_equal(fit(tmp_path, rest), whole)
    assert rest.seen == passes_from(killed_in, whole)


def test_a_run_may_be_killed_again_and_again(whole: TowerFit, tmp_path: Path) -> None:
    for killed_in in (2, 2, 3, 5):
        with pytest.raises(Killed):
            fit(tmp_path, Passes(killed_in))
    assert_equal(fit(tmp_path, Passes()), whole)


def test_a_process_killed_in_the_middle_of_a_pass_goes_on(whole: TowerFit, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.unit.training import test_checkpoints as this\n"
        "class Kill(this.Passes):\n"
        "    def __call__(self, done, of):\n"
        "        try:\n"
        "            super().__call__(done, of)\n"
        "        except this.Killed:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "this.fit(Path(sys.argv[1]), Kill(3))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=100)
    assert ended.returncode == -signal.SIGKILL
    rest = Passes()
    assert_equal(fit(tmp_path, rest), whole)
    assert rest.seen == passes_from(3, whole)


def test_another_log_catalogue_or_configuration_starts_afresh(tmp_path: Path) -> None:
    log = rings()

    def fingerprint(
        log: EventSequences = log,
        items: int = 40,
        config: TrainingConfig = CONFIG,
        days: float = np.inf,
    ) -> str:
        return checkpoints_of(tmp_path, log, catalogue(items, ("a", "b")), config, days).fingerprint

    later = log.times.copy()
    later[-1] += 1
    others = [
        fingerprint(replace(log, times=later)),
        fingerprint(replace(log, rows=log.rows[::-1])),
        fingerprint(replace(log, region_names=("x",))),
        fingerprint(items=41),
        fingerprint(config=replace(CONFIG, towers=replace(TOWERS, seed=2))),
        fingerprint(config=CONFIG.with_objective("utility")),
        fingerprint(days=7.0),
    ]
    assert fingerprint(rings()) == fingerprint()
    assert len({fingerprint(), *others}) == len(others) + 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_a_warning_and_a_fresh_start(
    whole: TowerFit, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    with pytest.raises(Killed):
        fit(tmp_path, Passes(killed_in=3))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    path.write_bytes({"cut": content[:middle], "flipped": flipped, "empty": b""}[damage])
    rest = Passes()
    assert_equal(fit(tmp_path, rest), whole)
    assert rest.seen == passes_from(1, whole)
    (line,) = caplog.messages
    assert str(path) in line and "\n" not in line


def test_a_folder_that_cannot_be_written_is_a_warning(
    whole: TowerFit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert_equal(fit(tmp_path / "file", Passes()), whole)
    assert len([line for line in caplog.messages if "no checkpoint written" in line]) == (
        TOWERS.passes + whole.passes
    )


def test_removing_leaves_nothing_and_minds_no_missing_folder(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "one").save("trial", {"passes": 1})
    Checkpoints(tmp_path, "two").save("final", {"passes": 1})
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_checkpoints(tmp_path / "nowhere")
