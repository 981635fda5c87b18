"""Groups of candidates that rules speak of: genres of the catalogue, creators of the candidates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.slate_rules import UNLIMITED, Groups, Window
from services.orchestrator.candidates import Query, Rows
from services.orchestrator.catalogue import Members

EACH_GENRE = "genre"
EACH_CREATOR = "creator"


@dataclass(frozen=True)
class CandidateGroups:
    """Genres first, then creators; empty where no rule asks.

    Attributes:
        groups: of the candidates, as `models.diversity` takes them.
    """

    groups: Groups

    @classmethod
    def of(cls, query: Query, rows: Rows) -> "CandidateGroups":
        """Of item rows, with what the query's rules say of them."""
        rules, genres = query.rules, query.catalogue.genres
        spreads = rules.diversity.spread
        asked = rules.caps or rules.diversity.calibration or spreads
        members = genres.dense(rows) if asked else np.empty((len(rows), 0), np.bool_)
        n_genres = members.shape[1]
        caps = np.full(n_genres, rules.caps.get(EACH_GENRE, UNLIMITED), np.int64)
        if asked:
            for name, most in rules.caps.items():
                if name in genres.columns:
                    caps[genres.columns[name]] = most
        limits = [s.most for s in spreads if s.of == EACH_CREATOR]
        if EACH_CREATOR in rules.caps:
            limits.append(rules.caps[EACH_CREATOR])
        if limits:
            creators = _creators(query.catalogue.creators, rows, min(limits))
            members = np.vstack([members.T, creators.T]).T
            most = rules.caps.get(EACH_CREATOR, UNLIMITED)
            caps = np.append(caps, np.full(creators.shape[1], most))
        columns = {EACH_GENRE: slice(0, n_genres), EACH_CREATOR: slice(n_genres, None)}
        windows = tuple((columns[s.of], Window(s.most, s.within)) for s in spreads)
        return cls(Groups(members, caps, windows))

    def fit(self, slate: NDArray[np.intp], positions: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(p,) whether each of some candidates exceeds no cap beside a slate.

        Args:
            slate: positions of candidates that are shown.
            positions: (p,) positions of others.
        """
        caps = self.groups.caps
        assert caps is not None
        members = self.groups.members
        full = np.flatnonzero(np.count_nonzero(members[slate], axis=0) >= caps)
        fits: NDArray[np.bool_] = np.count_nonzero(members[np.ix_(positions, full)], axis=1) == 0
        return fits


def _creators(creators: Members, rows: Rows, limit: int) -> NDArray[np.bool_]:
    """(r, c) of those creators that more items are by than a limit; others keep it anyway."""
    owners, codes = creators.of(rows)
    many = np.bincount(codes, minlength=len(creators.columns)) > limit
    column = np.cumsum(many) - 1
    kept = many[codes]
    members = np.zeros((np.count_nonzero(many), len(rows)), np.bool_)
    members[column[codes[kept]], owners[kept]] = True
    return members.T
