"""A system that lives only as long as a measurement."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.state import State
from deploy.local.system import System

_TERMINATIONS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def temporary_state(prefix: str) -> Iterator[State]:
    """A state in a folder of its own. Afterwards its system is down and the folder gone, also when
    the process is told to end meanwhile, which raises `KeyboardInterrupt`.

    To be used in the main thread, where signals arrive.
    """
    with _terminations_interrupt():
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        state = State(folder / "state")
        try:
            state.create()
            yield state
        finally:
            with _undisturbed():
                try:
                    System(state).down()
                finally:
                    shutil.rmtree(folder, ignore_errors=True)


def start(state: State, on_wait: Callable[[list[str]], None]) -> System:
    """Starts the system of a temporary state on free ports; returns when it serves.

    Raises:
        StateError: a part does not come up.
    """
    system = System(state)
    system.up(0, on_wait)
    return system


@contextmanager
def _terminations_interrupt() -> Iterator[None]:
    """Within, what would end the process at once ends it like Ctrl-C; what is ignored, stays so."""
    deadly = [each for each in _TERMINATIONS if signal.getsignal(each) is signal.SIG_DFL]
    for each in deadly:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in deadly:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Within, an impatient second Ctrl-C does not stop the clearing up."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, *_TERMINATIONS)}
    for each in before:
        signal.signal(each, signal.SIG_IGN)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
