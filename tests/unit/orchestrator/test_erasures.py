"""What the orchestrator remembers of users goes when they are erased."""

import asyncio
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, cast

import numpy as np

from services.common.database import open_database
from services.common.erased import ErasedUsers, bury, user_hash
from services.orchestrator.candidates import Query
from services.orchestrator.clients import UserFeatures
from services.orchestrator.erasures import ErasureFollower
from services.orchestrator.hydrators import UserHydrator


class KnowingFeatures:
    """A features service that says of every user that they have seen i1."""

    async def user_features(self, *_: object, **__: object) -> UserFeatures:
        return UserFeatures(seen_item_ids=("i1",), factors=np.empty(0, np.float32))


async def test_the_last_known_features_of_an_erased_user_are_forgotten(
    query: Callable[..., Query],
) -> None:
    hydrator = UserHydrator(cast(Any, KnowingFeatures()), remember=10)
    erased, other = query(user_id="erased"), query(user_id="other")
    for each in (erased, other):
        await hydrator.hydrate(each)
        assert hydrator.without(each).seen_rows.tolist() == [1]
    hydrator.forget({user_hash("erased"), user_hash("never seen")})
    assert hydrator.without(erased).seen_rows.tolist() == []
    assert hydrator.without(other).seen_rows.tolist() == [1]


async def test_erasures_of_other_processes_are_followed(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/tandem.db")
    with engine.begin() as db:
        bury(db, "long ago", time.time() - 3_600, 1)
    forgotten: asyncio.Queue[Set[str]] = asyncio.Queue()
    follower = ErasureFollower(ErasedUsers(engine), forgotten.put_nowait, poll_seconds=0.01)
    follower.start()
    with engine.begin() as db:
        bury(db, "now", time.time(), 1)
    assert await asyncio.wait_for(forgotten.get(), 5) == {user_hash("now")}
    await follower.close()
    engine.dispose()
