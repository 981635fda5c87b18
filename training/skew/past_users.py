"""Users as serving would have known them, from the event log and a release."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.release import Release
from models.session import SESSION_LENGTH
from services.features.event_log import History
from services.features.events import Event
from services.features.past import PastLog
from services.features.release_rows import UserProfile, user_profiles
from services.features.sessions import Session
from services.features.user_table import current_profile
from services.orchestrator.clients import UserFeatures, WeightedItems


def known_features(profile: UserProfile, events: Sequence[Event], version: int) -> UserFeatures:
    """What the features service would say of a user with these events, oldest first; nothing of
    what goes on around, and of what was seen."""
    session = Session.of(History(list(events[-SESSION_LENGTH:]), version))
    return UserFeatures(
        item_ids=tuple(session.item_ids),
        kinds=tuple(session.kinds),
        timestamps=tuple(session.timestamps),
        values=tuple(session.values),
        region=session.region or profile.region,
        factors=np.array(profile.factors, np.float32),
        version=version,
    )


def profile_of(release: Release, past: PastLog, user_id: str) -> UserProfile:
    """A user as the release and the user table know them."""
    row = release.user_rows.get(user_id)
    known = UserProfile(user_id) if row is None else user_profiles(release, range(row, row + 1))[0]
    return current_profile(known, past.user(user_id).standing)


def weighted(found: tuple[Sequence[str], NDArray[np.float32]]) -> WeightedItems:
    """Items and weights as the orchestrator knows them."""
    return WeightedItems(tuple(found[0]), found[1])
