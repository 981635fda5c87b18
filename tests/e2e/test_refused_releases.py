"""Sabotaged releases are refused by a running system, which says why and serves on."""

import hashlib
import json
import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pymilvus import MilvusClient, MilvusException

from deploy.local.state import State
from models.release import ITEM_VECTORS, MODEL
from services.common.database import open_database
from services.common.releases import ReleaseRegistry
from services.retrieval.collection import ROW, VECTOR, collection_name
from services.retrieval.vectors import Space
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import TandemError
from tests.e2e.conftest import Running, until

Sabotage = Callable[[Path, dict[str, Any]], None]
Spoil = Callable[[MilvusClient, str], object]


def as_it_is(_folder: Path, _manifest: dict[str, Any]) -> None:
    pass


def other_vectors(folder: Path, _manifest: dict[str, Any]) -> None:
    vectors = np.load(folder / ITEM_VECTORS)
    np.save(folder / ITEM_VECTORS, np.random.default_rng(0).permutation(vectors))


def fewer_vectors(folder: Path, _manifest: dict[str, Any]) -> None:
    np.save(folder / ITEM_VECTORS, np.load(folder / ITEM_VECTORS)[:-5])


def nan_weights(folder: Path, _manifest: dict[str, Any]) -> None:
    raw = torch.load(folder / MODEL, weights_only=True)
    for values in raw["weights"].values():
        values.fill_(float("nan"))
    torch.save(raw, folder / MODEL)


def older_schema(_folder: Path, manifest: dict[str, Any]) -> None:
    manifest["feature_schema"] = "0" * len(manifest["feature_schema"])


def build(running: Running, number: int, sabotage: Sabotage) -> str:
    """Registers a copy of the release that serves; what is done to it gets valid checksums."""
    state = State(running.state)
    active = state.releases / running.client.recommend("anybody").release_id
    release_id = f"20200101-0000{number:02}-00000000"
    folder = shutil.copytree(active, state.releases / release_id)
    manifest = json.loads((folder / "release.json").read_text())
    manifest["release_id"] = release_id
    sabotage(folder, manifest)
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "release.json").write_text(json.dumps(manifest))
    engine = open_database(state.database_url)
    ReleaseRegistry(engine).add(release_id, manifest["metrics"])
    engine.dispose()
    return release_id


def check_refused(running: Running, release_id: str, reason: str) -> None:
    active = running.client.recommend("anybody").release_id
    with pytest.raises(TandemError, match=f"release {release_id} was refused: ") as refused:
        running.client.activate_release(release_id)
    (listed,) = (
        each for each in running.tandem("releases", "list") if each["release_id"] == release_id
    )
    assert listed["state"] == "FAILED"
    assert re.search(reason, listed["reason"]), listed["reason"]
    assert listed["reason"] in str(refused.value)
    answer = running.client.recommend(running.world.user_ids[0])
    assert (answer.release_id, answer.level) == (active, pb.LEVEL_FULL)


@pytest.mark.parametrize(
    ("number", "sabotage", "reason"),
    [
        (1, other_vectors, r"largest difference from the trainer's scores \S+ is above 0\.001"),
        (2, fewer_vectors, r"item vectors"),
        (3, nan_weights, "not finite"),
        (4, older_schema, "feature schema differs"),
    ],
)
def test_what_is_wrong_with_a_folder(
    running: Running, number: int, sabotage: Sabotage, reason: str
) -> None:
    check_refused(running, build(running, number, sabotage), reason)


def shuffle(client: MilvusClient, name: str) -> None:
    fields = [ROW, VECTOR, "adult", "available"]
    rows = client.query(name, filter=f"{ROW} >= 0", output_fields=fields, limit=16_384)
    order = np.random.default_rng().permutation(len(rows))
    spoilt = [row | {VECTOR: rows[n][VECTOR]} for row, n in zip(rows, order, strict=True)]
    client.upsert(name, spoilt)


def truncate(client: MilvusClient, name: str) -> None:
    client.delete(name, filter=f"{ROW} < 100")


@contextmanager
def spoilt(uri: str, release_id: str, spoil: Spoil) -> Iterator[None]:
    """A Milvus that does to a release's vectors what it should not, over and over: a collection
    that is merely found wrong is built again."""
    over, name = threading.Event(), collection_name(release_id, Space.TOWER)

    def work() -> None:
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        with closing(MilvusClient(uri)) as client:
            while not over.wait(0.02):
                with suppress(MilvusException):  # it is not there yet, or being built
                    spoil(client, name)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("number", "spoil", "reason"),
    [
        (5, shuffle, r"recall@\d+ .*(is the least|is below)"),
        (6, truncate, r"it holds \d+ rows instead of \d+|recall@\d+ .*(is the least|is below)"),
    ],
)
def test_what_is_wrong_in_milvus(running: Running, number: int, spoil: Spoil, reason: str) -> None:
    release_id = build(running, number, as_it_is)
    uri = f"http://127.0.0.1:{State(running.state).ports().milvus}"
    with spoilt(uri, release_id, spoil):
        check_refused(running, release_id, reason)


@pytest.mark.slow
def test_nothing_of_a_refused_release_stays_but_its_folder(running: Running) -> None:
    state = State(running.state)
    release_id = build(running, 7, other_vectors)
    check_refused(running, release_id, "largest difference")
    with closing(MilvusClient(f"http://127.0.0.1:{state.ports().milvus}")) as client:
        names = {collection_name(release_id, space) for space in Space}
        assert until(lambda: names.isdisjoint(client.list_collections()), 60)
    assert (state.releases / release_id).is_dir()
