"""Users of like taste: cosine of matrix-factorization vectors, exact, over all trained users."""

import numpy as np

from models.release import Release
from services.common.errors import NotFound


def similar_users(release: Release, user_id: str, count: int) -> list[tuple[str, float]]:
    """The nearest users as `(user_id, cosine)`, nearest first.

    Raises:
        NotFound: the release was trained without this user.
    """
    row = release.user_rows.get(user_id)
    if row is None:
        raise NotFound(f"user_id: release {release.release_id} holds no user {user_id!r}")
    factors = release.user_factors
    norms = np.linalg.norm(factors, axis=1)
    cosines = factors @ factors[row] / np.maximum(norms * norms[row], 1e-12)
    cosines[row] = -np.inf
    nearest = np.argsort(-cosines, kind="stable")[: min(count, len(cosines) - 1)]
    ids = release.users["user_id"].to_numpy()
    return [(str(ids[at]), float(cosines[at])) for at in nearest]
