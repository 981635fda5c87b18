"""What the slate log keeps besides the slate: a served request, whole, as compressed bytes."""

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from models.history import WeightedRows
from services.common.deadlines import Budget
from services.common.errors import FailedPrecondition
from services.common.model_input import (
    decode_user,
    decode_weighted_rows,
    encode_user,
    encode_weighted_rows,
)
from services.orchestrator.candidates import (
    BOOST,
    PREDICTION,
    Candidates,
    KnownSession,
    Query,
    Rows,
    merge,
)
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.pipeline import Dropped, Level, Record, Slate
from services.orchestrator.requests import decode_recommend
from services.orchestrator.rules_yaml import ActiveRules
from services.orchestrator.user_trace import encode_user_trace
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem.slate.v1 import slate_pb2

_COMPRESSION = 1
_OF_RANKING: tuple[
    Literal["ranked_rows", "ranked_scores", "ranked_predictions", "ranked_boosts", "slate_rows"],
    ...,
] = ("ranked_rows", "ranked_scores", "ranked_predictions", "ranked_boosts", "slate_rows")


@dataclass(frozen=True)
class PlacedRow:
    """A place that was given away, from 0, the item that got it, and its label."""

    place: int
    row: int
    label: str


@dataclass(frozen=True)
class Served:
    """A served request, read back.

    Attributes:
        message: as it was logged.
        placed: what was promoted.
    """

    message: slate_pb2.ServedRequest

    @property
    def placed(self) -> list[PlacedRow]:
        return [PlacedRow(each.place, each.row, each.label) for each in self.message.placed]

    @property
    def found(self) -> list[Candidates]:
        """What the sources found, then each fallback."""
        return [_candidates(each) for each in self.message.found]

    @property
    def ranked(self) -> Candidates:
        """What was chosen from, best first, attributed to its sources."""
        message = self.message
        rows = np.array(message.ranked_rows, np.int32)
        scores = np.array(message.ranked_scores, np.float32)
        columns = {}
        if message.ranked_predictions:
            columns[PREDICTION] = np.array(message.ranked_predictions, np.float32)
        if message.ranked_boosts:
            columns[BOOST] = np.array(message.ranked_boosts, np.float32)
        found = merge(self.found)
        by_row = np.argsort(found.rows)
        ranks = found.ranks[by_row[np.searchsorted(found.rows[by_row], rows)]]
        return Candidates(rows, scores, ranks, found.source_names, columns)

    def query(self, catalogue: Catalogue, active: ActiveRules, budget: Budget) -> Query:
        """The query as it was after hydration, on the catalogue of the release that it names."""
        message = self.message
        query = decode_recommend(message.request, "", catalogue, budget, active)
        session = message.session
        newest = session.newest.ToMicroseconds() / 1e6 if session.HasField("newest") else None
        return replace(
            query,
            time=message.time,
            as_of=message.as_of,
            user=decode_user(message.user),
            session=KnownSession(session.version, session.events, newest),
            seen_rows=np.cumsum(np.array(message.seen_steps, np.int64)).astype(np.int32),
            shown=decode_weighted_rows(message.shown),
        )

    def record(self, level: Level) -> Record:
        """What happened, as far as it was logged: not what each component did and took."""
        message = self.message
        return Record(
            level=level,
            stage_millis=dict(message.stage_millis),
            found=self.found,
            dropped=[Dropped(each.by, np.array(each.rows, np.int32)) for each in message.dropped],
            ranked=self.ranked,
        )


def encode_served(slate: Slate, request: pb.RecommendRequest) -> bytes:
    """A served request, to be kept with its slate."""
    query, record, ranked = slate.query, slate.record, slate.record.ranked
    message = slate_pb2.ServedRequest(
        request=request,
        release_id=query.release.release_id,
        rules_digest=query.active.digest,
        live_items=len(query.catalogue.live),
        time=query.time,
        as_of=query.as_of,
        user=None if query.user is None else encode_user(query.user),
        session=encode_user_trace(query),
        seen_steps=np.diff(query.seen_rows, prepend=0).tolist(),
        shown=encode_weighted_rows(query.shown),
        found=[_encode_candidates(each) for each in record.found],
        dropped=[slate_pb2.DroppedRows(by=d.by, rows=d.rows.tolist()) for d in record.dropped],
        ranked_rows=ranked.rows.tolist(),
        ranked_scores=ranked.scores.tolist(),
        ranked_predictions=ranked.columns.get(PREDICTION, np.empty(0)).tolist(),
        ranked_boosts=ranked.columns.get(BOOST, np.empty(0)).tolist(),
        placed=[
            slate_pb2.PlacedItem(place=each.place, row=ranked.rows[each.position], label=each.label)
            for each in record.placed
        ],
        slate_rows=slate.chosen.rows.tolist(),
        stage_millis=record.stage_millis,
    )
    return zlib.compress(message.SerializeToString(), _COMPRESSION)


def decode_served(detail: bytes) -> Served:
    """A served request, from the bytes that were kept.

    Raises:
        FailedPrecondition: they are damaged.
    """
    try:
        return Served(slate_pb2.ServedRequest.FromString(zlib.decompress(detail)))
    except (zlib.error, ValueError) as error:
        raise FailedPrecondition(f"the logged request is damaged: {error}") from None


def translated(served: Served, old: Catalogue, new: Catalogue) -> Served:
    """The same request in the rows of another catalogue; items that it lacks are left out."""
    to_new = _row_map(old, new)
    message = slate_pb2.ServedRequest()
    message.CopyFrom(served.message)
    message.ClearField("found")
    message.ClearField("dropped")
    message.ClearField("placed")
    for name in _OF_RANKING:
        message.ClearField(name)
    user = decode_user(message.user)
    rows = to_new[user.rows]
    held = rows >= 0
    # A user's vector belongs to the release; the new one folds the user in from the history.
    user = replace(
        user,
        rows=rows[held],
        kinds=user.kinds[held],
        ages=user.ages[held],
        values=user.values[held],
        factors=np.empty(0, np.float32),
        around=replace(
            user.around,
            friends=_moved(user.around.friends, to_new),
            trend=_moved(user.around.trend, to_new),
            trend_here=_moved(user.around.trend_here, to_new),
        ),
    )
    message.user.CopyFrom(encode_user(user))
    seen = to_new[np.cumsum(np.array(message.seen_steps, np.int64))]
    del message.seen_steps[:]
    message.seen_steps.extend(np.diff(np.unique(seen[seen >= 0]), prepend=0).tolist())
    shown = _moved(decode_weighted_rows(message.shown), to_new)
    message.shown.CopyFrom(encode_weighted_rows(shown))
    return Served(message)


def _row_map(old: Catalogue, new: Catalogue) -> Rows:
    """(n,) int32 rows of the new catalogue by rows of the old one; -1 for what it lacks."""
    row_of = new.items.row_of
    return np.array([row_of.get(item, -1) for item in old.items.ids.tolist()], np.int32)


def _moved(weighted: WeightedRows, to_new: Rows) -> WeightedRows:
    rows = to_new[weighted.rows]
    return WeightedRows(rows[rows >= 0], weighted.weights[rows >= 0])


def _encode_candidates(found: Candidates) -> slate_pb2.FoundCandidates:
    return slate_pb2.FoundCandidates(
        sources=found.source_names,
        rows=found.rows.tolist(),
        scores=found.scores.tolist(),
        ranks=found.ranks.ravel().tolist(),
    )


def _candidates(message: slate_pb2.FoundCandidates) -> Candidates:
    rows = np.array(message.rows, np.int32)
    ranks = np.array(message.ranks, np.int32).reshape(len(rows), len(message.sources))
    return Candidates(rows, np.array(message.scores, np.float32), ranks, tuple(message.sources))
