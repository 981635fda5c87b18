"""Selectors: from ranked candidates to the slate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.diversity import Composition, compose
from models.genre_calibration import genre_mix
from models.history import taste_mask
from services.orchestrator.candidates import Candidates, Query
from services.orchestrator.groups import CandidateGroups
from services.orchestrator.pipeline import Placed, Selected

CAPS = "caps"
"""Name in traces of the rule that kept out what exceeds a cap."""


class SlateComposer:
    """One greedy choice after another: diversity, calibration, caps, spread; see
    `models.diversity`."""

    def select(self, query: Query, ranked: Candidates, placed: Sequence[Placed]) -> Selected:
        rules = query.rules.diversity
        groups = CandidateGroups.of(query, ranked.rows)
        composed = compose(
            ranked.scores,
            lambda positions: query.catalogue.vectors(ranked.rows[positions]),
            query.count,
            Composition(rules.method, rules.weight, rules.calibration),
            groups=groups.groups,
            target=_genre_mix(query) if rules.calibration else None,
            fixed={each.place: each.position for each in placed},
        )
        return Selected(composed.positions, {CAPS: composed.dropped})


def _genre_mix(query: Query) -> NDArray[np.float32] | None:
    """The mix of what the user liked; None of a user who did nothing."""
    user = query.user
    if user is None or not len(user.rows):
        return None
    taste = user.rows[taste_mask(user.rows, user.kinds)]
    return genre_mix(query.catalogue.genres.dense(taste))
