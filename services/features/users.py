"""Reads all that is known of a user, and never an old session."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.friends import friends_items
from models.session import SESSION_LENGTH
from services.common.deadlines import Budget
from services.common.errors import Unavailable
from services.features.async_log import AsyncEventLog
from services.features.metrics import REPAIRED_SESSIONS
from services.features.publisher import SessionPublisher
from services.features.release_loader import ReleaseLoader
from services.features.release_rows import UserProfile
from services.features.seen import ALL_SEEN, Seen, SeenWanted
from services.features.sessions import Session
from services.features.store import FeatureStore
from services.features.user_table import current_profile
from services.features.weighted_items import NOTHING, WeightedItems

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserFeatures:
    """A user now: live session, all items ever seen, profile, and what friends do.

    Attributes:
        session: the latest events.
        seen: the items that the user ever had an event on, of the session's version.
        profile: region and friends as upserted, else as the release knows them; its factors.
        friends_items: what friends lately liked.
    """

    session: Session
    seen: Seen
    profile: UserProfile
    friends_items: WeightedItems = NOTHING


class UserReader:
    """Reads users from the online store, and checks each session's version against the log.

    The log is the truth: a session that a crash, an import or another replica left behind is
    computed from the log, answered, and pushed for the next reader.
    """

    def __init__(
        self,
        event_log: AsyncEventLog,
        store: FeatureStore,
        publisher: SessionPublisher,
        releases: ReleaseLoader,
    ) -> None:
        self._log = event_log
        self._store = store
        self._publisher = publisher
        self._releases = releases

    async def read(
        self,
        user_id: str,
        release_id: str,
        as_of: float | None = None,
        seen: SeenWanted = ALL_SEEN,
    ) -> UserFeatures:
        """What is known of a user; an unknown user is an answer with empty parts.

        Args:
            user_id: who.
            release_id: whose profile is wanted; empty for none.
            as_of: leave events later than this out of the session, in Unix seconds.
            seen: what is wanted of the seen items, which know no bound.

        Raises:
            FailedPrecondition: the release does not exist.
            Unavailable: the event log is down. Without the online store, the profile is what was
                upserted.
        """
        standing, (session, profile) = await asyncio.gather(
            self._log.standing(user_id), self._stored(user_id, release_id)
        )
        profile = current_profile(profile, standing)
        own = self._own_events(user_id, standing.version, session, as_of, seen)
        if profile.friends:
            (session, found), friends = await asyncio.gather(
                own, self._friends_items(profile.friends, as_of)
            )
        else:
            (session, found), friends = await own, NOTHING
        return UserFeatures(session, found, profile, friends)

    async def _own_events(
        self,
        user_id: str,
        version: int,
        session: Session,
        as_of: float | None,
        wanted: SeenWanted,
    ) -> tuple[Session, Seen]:
        if version == 0:
            return Session(), Seen()
        if session.version != version:
            REPAIRED_SESSIONS.inc()
            session = Session.of(await self._log.history(user_id, SESSION_LENGTH))
            self._publisher.request([user_id])
        if as_of is not None and any(time > as_of for time in session.timestamps):
            bounded = Session.of(await self._log.history(user_id, SESSION_LENGTH, as_of))
            session = replace(bounded, version=session.version)
        if session.version == 0:  # erased meanwhile
            return Session(), Seen()
        # Of the session's version, which may be later: it tells the caller what the set is of.
        return session, await self._log.seen(user_id, session.version, wanted)

    async def _friends_items(self, friends: Sequence[str], as_of: float | None) -> WeightedItems:
        return WeightedItems(*friends_items(await self._log.friends_events(friends, as_of)))

    async def _stored(self, user_id: str, release_id: str) -> tuple[Session, UserProfile]:
        try:
            async with asyncio.timeout(Budget.current(default=2.0).share(0.5)):
                if release_id:
                    await self._releases.prepare(release_id)
                return await self._store.read_user(user_id, release_id)
        except (Unavailable, TimeoutError) as error:
            log.warning("online store not read", extra={"why": str(error) or "too slow"})
            return Session(), UserProfile(user_id)
