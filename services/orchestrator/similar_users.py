"""Users of like taste: cosine of matrix-factorization vectors, exact, over all trained users."""

from collections.abc import Callable, Collection

import numpy as np

from models.release import Release
from services.common.errors import InvalidArgument, NotFound

METHOD = "factors"

Erased = Callable[[Collection[str]], Collection[str]]
"""Tells which of some users were erased."""


def check_method(method: str, missing: str) -> None:
    """Allows the one way in which users are compared, by its name or without one.

    Raises:
        InvalidArgument: another method, or a rule for missing values: vectors miss nothing.
    """
    if method not in ("", METHOD):
        raise InvalidArgument("method", f"{method!r} is not {METHOD}, how users are compared")
    if missing:
        raise InvalidArgument("missing", f"must be empty: {METHOD} miss nothing")


def similar_users(
    release: Release, user_id: str, count: int, erased: Erased
) -> list[tuple[str, float]]:
    """The nearest users as `(user_id, cosine)`, nearest first, without erased ones. Blocks.

    Raises:
        NotFound: the release was trained without this user, or the user was erased.
    """
    row = release.user_rows.get(user_id)
    if row is None or erased([user_id]):
        raise NotFound(f"user_id: release {release.release_id} holds no user {user_id!r}")
    factors = release.user_factors
    norms = np.linalg.norm(factors, axis=1)
    cosines = factors @ factors[row] / np.maximum(norms * norms[row], 1e-12)
    cosines[row] = -np.inf
    nearest = np.argsort(-cosines, kind="stable")[: len(cosines) - 1]
    ids = release.users["user_id"].to_numpy()
    found: list[tuple[str, float]] = []
    for start in range(0, len(nearest), count):
        block = [(str(ids[at]), float(cosines[at])) for at in nearest[start : start + count]]
        gone = erased([user for user, _ in block])
        found += [pair for pair in block if pair[0] not in gone]
        if len(found) >= count:
            break
    return found[:count]
