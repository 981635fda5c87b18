"""A process counts as gone only where that is certain."""

import os
import subprocess
import sys

import pytest

from services.common.process_identity import is_gone, this_process

PRINTS = "from services.common.process_identity import this_process as p; print(p())"


def test_a_process_that_runs_is_not_gone() -> None:
    assert this_process() and not is_gone(this_process())


def test_one_that_ended_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() and is_gone(done.stdout.strip())


def test_another_process_of_the_same_number_is_not_taken_for_it() -> None:
    here, _, itself = this_process().rpartition(" pid ")
    pid, started = itself.split()
    assert pid == str(os.getpid())
    assert is_gone(f"{here} pid {pid} {int(started) - 1}")


@pytest.mark.parametrize("place", range(3))
def test_of_another_host_boot_or_container_nothing_is_known(place: int) -> None:
    here, _, itself = this_process().rpartition(" pid ")
    parts = here.split()
    parts[place] = "other"
    for pid in (itself, "4194304 1"):  # the second is above any process's number
        assert not is_gone(f"{' '.join(parts)} pid {pid}")


def test_without_a_name_nothing_is_known() -> None:
    assert not is_gone("")
