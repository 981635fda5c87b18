"""The system that is asked: the one at TANDEM_ADDRESS, else one of this machine.

TANDEM_USERS names users that its release knows, with commas; without it, those of a synthetic
world. TANDEM_SET_RULES is a command that takes rules on its standard input, for a system whose
rules come from elsewhere and cannot be set by a call.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from deploy.local.health import is_serving
from tandem_client import Client, TandemError
from tests.e2e.conftest import answers_fully, until

_READY_SECONDS = 60
_RULES_SECONDS = 150  # a kubelet looks at its ConfigMaps about once a minute


@dataclass(frozen=True)
class Live:
    """A system, of which no more is known than its address and some of its users."""

    address: str
    users: tuple[str, ...]
    client: Client

    def set_rules(self, text: str) -> None:
        """Returns once the rules hold."""
        if command := os.environ.get("TANDEM_SET_RULES"):
            subprocess.run(command, shell=True, input=text, text=True, check=True, timeout=60)
        else:
            self.client.set_rules(text)
        assert until(lambda: self.client.get_rules().rules == text, _RULES_SECONDS)

    def new_user(self) -> str:
        """An id that no system has heard of."""
        return f"live-{uuid4().hex}"


@pytest.fixture(scope="session")
def live(request: pytest.FixtureRequest) -> Iterator[Live]:
    users = tuple(os.environ.get("TANDEM_USERS", "user-0,user-1,user-2").split(","))
    address = os.environ.get("TANDEM_ADDRESS") or request.getfixturevalue("running").address
    with Client(address) as client:
        assert until(lambda: is_serving(address), _READY_SECONDS), f"{address} does not serve"
        assert until(_without_error(lambda: answers_fully(client, users[0])), _READY_SECONDS)
        yield Live(address, users, client)


def _without_error(check: Callable[[], bool]) -> Callable[[], bool]:
    def checked() -> bool:
        try:
            return check()
        except TandemError:
            return False

    return checked


@pytest.fixture
def rules_restored(live: Live) -> Iterator[None]:
    before = live.client.get_rules().rules
    try:
        yield
    finally:
        live.set_rules(before)
