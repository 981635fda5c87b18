"""What a long history costs a request: `python -m bench.seen [--json]`.

The orchestrator's hydrator in this process, a features service on SQLite in another, and real gRPC
between them.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import numpy as np
import pandas as pd

from bench.percentiles import percentiles
from models.events import EventKind
from models.release import Items
from services.common.database import open_database
from services.common.deadlines import Budget
from services.common.errors import Unavailable
from services.common.ports import free_ports
from services.features.event_log import EventLog
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import FeaturesClient
from services.orchestrator.hydrators import UserHydrator
from tandem_cli.output import print_json, print_table
from tandem_client import EventKind as PublicKind
from tandem_client import event

_USERS = {100: 20, 10_000: 10, 100_000: 4}
"""How many users have a history of how many items."""

_FOLLOWING = 25
"""Requests of each user after the first ones, with an event before each."""

_CLICK = PublicKind.EVENT_KIND_CLICK
_LONGEST = max(_USERS)
_ITEMS = _LONGEST + _FOLLOWING

_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


class _Counted:
    """A method of a stub that notes how large its last request and answer were."""

    def __init__(self, method: Any) -> None:
        self._call = method
        self.bytes = 0

    async def __call__(self, request: Any, **options: Any) -> Any:
        answer = await self._call(request, **options)
        self.bytes = request.ByteSize() + answer.ByteSize()
        return answer


def run() -> list[dict[str, Any]]:
    """Measures users with short and long histories.

    Returns:
        A document a length and a kind of request: milliseconds, and bytes of both messages. `cold`
        are a user's first requests, `new` those of an orchestrator that does not know a user whom
        the features service does, `following` those after one more event.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-seen-") as folder:
        database = f"sqlite:///{folder}/tandem.db"
        _fill(database)
        with _features(Path(folder), database) as address:
            return asyncio.run(_measure(address))


def _name(length: int, number: int) -> str:
    return f"user-{length}-{number}"


def _fill(database: str) -> None:
    rng = np.random.default_rng(0)
    engine = open_database(database)
    for length, users in _USERS.items():
        for number in range(users):
            seen = rng.choice(_LONGEST, length, replace=False)
            EventLog(engine).import_frame(
                pd.DataFrame(
                    {
                        "user_id": _name(length, number),
                        "item_id": [f"item-{row}" for row in seen.tolist()],
                        "kind": EventKind.CLICK,
                        "value": 0.0,
                        "timestamp": 1e9 + np.arange(length),
                        "region": "",
                    }
                )
            )
    engine.dispose()


@contextmanager
def _features(folder: Path, database: str) -> Iterator[str]:
    """Address of a service that ends afterwards."""
    port = free_ports(1)[0]
    settings = {
        "PORT": str(port),
        "RELEASE_ROOT": str(folder / "releases"),
        "DATABASE_URL": database,
        "STORE_ROOT": str(folder / "features"),
        "LOG_LEVEL": "ERROR",
    }
    environment = {f"FEATURES_{name}": value for name, value in settings.items()}
    with subprocess.Popen(
        [sys.executable, "-m", "services.features"],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


async def _measure(address: str) -> list[dict[str, Any]]:
    catalogue = _catalogue()
    client = FeaturesClient([address])
    counted = _Counted(client._stub.GetUserFeatures)
    client._stub.GetUserFeatures = counted  # type: ignore[assignment]
    await _hydrate(UserHydrator(client, 10), "warm-up", catalogue)
    figures = []
    for length, users in _USERS.items():
        taken: dict[str, list[tuple[float, int]]] = {"cold": [], "new": [], "following": []}
        for number in range(users):
            user = _name(length, number)
            for kind in ("cold", "new"):
                hydrator = UserHydrator(client, 10)
                millis = await _hydrate(hydrator, user, catalogue)
                taken[kind].append((millis, counted.bytes))
            for step in range(_FOLLOWING):
                item = f"item-{_LONGEST + step}"
                await client.record_events([event(user, item, _CLICK)], _SECONDS)
                millis = await _hydrate(hydrator, user, catalogue)
                taken["following"].append((millis, counted.bytes))
        figures += [
            {
                "seen": length,
                "requests": kind,
                "count": len(each),
                **percentiles([ms for ms, _ in each]),
                "bytes": int(np.median([size for _, size in each])),
            }
            for kind, each in taken.items()
        ]
    await client.close()
    return figures


async def _hydrate(hydrator: UserHydrator, user: str, catalogue: Catalogue) -> float:
    """Milliseconds until the user's features and seen rows are there, however often it is asked."""
    started = time.perf_counter()
    while time.perf_counter() < started + _SECONDS:
        query = Query("", user, 10, time.time(), catalogue, Budget.of(_SECONDS))
        try:
            await hydrator.hydrate(query)
            return (time.perf_counter() - started) * 1e3
        except Unavailable:
            await asyncio.sleep(_PAUSE_SECONDS)
    raise TimeoutError(f"no answer in {_SECONDS:.0f} s")


def _catalogue() -> Catalogue:
    """Items without a model: the features service need not know their release."""
    items = Items(
        ids=np.array([f"item-{row}" for row in range(_ITEMS)], object),
        titles=np.full(_ITEMS, "", object),
        genres=[()] * _ITEMS,
        years=np.zeros(_ITEMS, np.int16),
        adult=np.zeros(_ITEMS, bool),
        available=np.ones(_ITEMS, bool),
        creators=[()] * _ITEMS,
        available_from=np.zeros(_ITEMS),
        available_until=np.full(_ITEMS, np.inf),
    )
    _ = items.row_of
    release = SimpleNamespace(
        release_id="",
        items=items,
        manifest=SimpleNamespace(config={}),
        item_vectors=np.empty((_ITEMS, 0), np.float32),
    )
    return Catalogue.of(cast(Any, release))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def main(as_json: bool) -> None:
    """Measures what the seen items of a user cost a request."""
    figures = run()
    if as_json:
        return print_json(figures)
    print_table(list(figures[0]), [list(each.values()) for each in figures])


if __name__ == "__main__":
    main()
