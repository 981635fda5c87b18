"""Users of the log that a release is to be tried on, with what the trained models make of them."""

import numpy as np
from numpy.typing import NDArray

from models.final_score import FinalScorer
from models.history import Surroundings, UserHistory
from models.session import SESSION_LENGTH
from services.common.probe_users import ProbeUser, nearest_of
from training.final_model import FinalFit
from training.sequences import EventSequences
from training.splits import Queries

_USERS = 64
_NEAR = 50
"""Items scored of those nearest to a user; as many others are scored with them."""


def probe_users(fit: FinalFit, log: EventSequences) -> list[ProbeUser]:
    """Asks about a sample of users just after the newest event of the log, and about a stranger.

    Args:
        fit: the trained models.
        log: all events; its users are the rows of `fit.factors.users`.

    Returns:
        Up to 64 users, the same ones whenever the log is.
    """
    rng = np.random.default_rng(0)
    active = np.flatnonzero(np.diff(log.offsets))
    users = np.sort(rng.choice(active, min(_USERS - 1, len(active)), replace=False))
    now = float(np.nextafter(log.times.max(initial=0.0), np.inf))
    around = fit.around.of(Queries.after_all(log, users, now)).around
    known = [
        _history(log, user, now, fit.factors.users[user], surroundings)
        for user, surroundings in zip(users.tolist(), around, strict=True)
    ]
    return [_asked(fit.scorer, user, rng) for user in (*known, _stranger(now))]


def _history(
    log: EventSequences,
    user: int,
    now: float,
    factors: NDArray[np.float32],
    around: Surroundings,
) -> UserHistory:
    end = int(log.offsets[user + 1])
    events = slice(max(int(log.offsets[user]), end - SESSION_LENGTH), end)
    regions = [log.region_names[code] for code in log.regions[events]]
    return UserHistory(
        rows=log.rows[events],
        kinds=log.kinds[events],
        ages=(now - log.times[events]).astype(np.float32),
        values=log.values[events],
        time=now,
        region=next((name for name in reversed(regions) if name), ""),
        factors=factors.astype(np.float32),
        around=around,
    )


def _stranger(now: float) -> UserHistory:
    return UserHistory(
        rows=np.empty(0, np.int32),
        kinds=np.empty(0, np.int8),
        ages=np.empty(0, np.float32),
        values=np.empty(0, np.float32),
        time=now,
    )


def _asked(scorer: FinalScorer, user: UserHistory, rng: np.random.Generator) -> ProbeUser:
    vector = scorer.towers.user_vector(user)
    logits = scorer.towers.item_vectors @ vector
    order = np.argsort(-logits, kind="stable")
    others = order[_NEAR:]
    drawn = rng.choice(others, min(_NEAR, len(others)), replace=False)
    rows = np.concatenate([order[:_NEAR], drawn]).astype(np.int32)
    least = float(logits[order[nearest_of(len(order)) - 1]])
    return ProbeUser(user, vector, least, rows, scorer.score(user, rows))
