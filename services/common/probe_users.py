"""Users that a release is tried on before it serves: what goes in, and what must come out.

Training writes them into the release from the models it has in memory, so that whatever happens to
numbers between there and a running service shows. Needs no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.history import UserHistory
from models.release import PROBE, Release, ReleaseError
from services.common.model_input import decode_user, encode_user
from tandem.model.v1 import model_pb2

NEAREST = 500

_ROUNDING = 1e-5
"""Error of a float32 inner product, relative to the product of the lengths."""


def nearest_of(n_items: int) -> int:
    """How many items, of those nearest to a user, an index must find: half of a small catalogue.

    All of it would be found whatever the vectors are.
    """
    return min(NEAREST, (n_items + 1) // 2)


@dataclass(frozen=True, eq=False)
class ProbeUser:
    """A user, and what the trainer makes of it.

    Nearest items count by their score, not by their row: items without events share one vector, and
    which of equal items is found is nobody's mistake.

    Attributes:
        user: the models' input.
        vector: (d,) float32 of the user tower.
        least: inner product of `vector` that the last of the `nearest_of` items reaches.
        rows: (r,) int32 item rows, each once.
        scores: (r,) float32 final scores of `rows`.
    """

    user: UserHistory
    vector: NDArray[np.float32]
    least: float
    rows: NDArray[np.int32]
    scores: NDArray[np.float32]

    def hits(self, item_vectors: NDArray[np.float32], rows: NDArray[np.int32]) -> int:
        """How many of the rows found are among the nearest, by the vectors of all items."""
        vectors = item_vectors[np.unique(rows)]
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(self.vector)
        return int((vectors @ self.vector >= self.least - _ROUNDING * lengths).sum())


def probe_table(users: Sequence[ProbeUser]) -> pd.DataFrame:
    """The table that a release keeps as `PROBE`: `user` (bytes of a `UserInput`), `vector`,
    `least`, `rows`, `scores`."""
    return pd.DataFrame(
        {
            "user": [encode_user(each.user).SerializeToString() for each in users],
            "vector": [each.vector for each in users],
            "least": np.array([each.least for each in users], dtype=np.float64),
            "rows": [each.rows for each in users],
            "scores": [each.scores for each in users],
        }
    )


def read_probe_users(release: Release) -> list[ProbeUser]:
    """The probe users of a release; none of one that was built without. Blocks.

    Raises:
        ReleaseError: the file is damaged.
    """
    if PROBE not in release.manifest.sha256:
        return []
    try:
        table = pd.read_parquet(release.path / PROBE)
        columns = (table[name] for name in ("user", "vector", "least", "rows", "scores"))
        return [
            ProbeUser(
                decode_user(model_pb2.UserInput.FromString(user)),
                np.asarray(vector, np.float32),
                float(least),
                np.asarray(rows, np.int32),
                np.asarray(scores, np.float32),
            )
            for user, vector, least, rows, scores in zip(*columns, strict=True)
        ]
    except Exception as error:  # whatever parquet and protobuf stumble over
        raise ReleaseError(f"{release.path / PROBE}: {error}") from None
