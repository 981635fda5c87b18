"""How a log is cut into what is known and what is to be predicted.

Each protocol gives two folds: settings are chosen on the first, which lies before the second, and
what is reported comes from the second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.sequences import EventSequences
from training.splits import Queries

_FEWEST_EVENTS = 3  # one to learn from, one for validation, one for the test
_KNOWN_SHARE = 0.9


@dataclass(frozen=True)
class Fold:
    """What is known, and what is to be predicted.

    Attributes:
        train: events to learn from.
        queries: events to predict, and what is known of their users then.
    """

    train: EventSequences
    queries: Queries


@dataclass(frozen=True)
class Split:
    """Both folds of a protocol.

    Attributes:
        validation: settings are chosen here; lies within what `test` learns from.
        test: what is reported.
    """

    validation: Fold
    test: Fold


def leave_last_out(log: EventSequences) -> Split:
    """Each user's last event is the test, the one before is validation.

    Users with fewer than three events are learnt from, not tested.
    """
    return Split(_leave_out(log, back=2), _leave_out(log, back=1))


def stream(log: EventSequences) -> Split:
    """Events after the 90 % quantile of time, each predicted from all earlier ones of its user.

    Histories grow with every event, the model stays; users without any event before count.
    """
    return _by_time(log, frozen=False)


def temporal(log: EventSequences) -> Split:
    """Events after the 90 % quantile of time, predicted from histories as they were then.

    One question a user: what will follow? Only users with an event before the cut are asked for.
    Targets are items new to the user: of several later events on one item the first counts, and
    an item known before the cut is no target.
    """
    return _by_time(log, frozen=True)


PROTOCOLS: Mapping[str, Callable[[EventSequences], Split]] = {
    "leave-last-out": leave_last_out,
    "temporal": temporal,
    "stream": stream,
}


def _leave_out(log: EventSequences, back: int) -> Fold:
    users = np.flatnonzero(np.diff(log.offsets) >= _FEWEST_EVENTS)
    ends = log.offsets[users + 1]
    kept = np.ones(len(log), dtype=np.bool_)
    for step in range(back):
        kept[ends - 1 - step] = False
    return Fold(log.select(kept), Queries.at(log, ends - back))


def _by_time(log: EventSequences, frozen: bool) -> Split:
    test = _after(log, frozen)
    return Split(_after(test.train, frozen), test)


def _after(log: EventSequences, frozen: bool) -> Fold:
    known = log.times <= _cut(log.times)
    positions = np.flatnonzero(~known)
    if not frozen:
        return Fold(log.select(known), replace(Queries.at(log, positions), recorded=True))
    # Within a user events are in order of time: the known ones come first.
    known_of_user = np.diff(np.concatenate([[0], np.cumsum(known)])[log.offsets])
    users = np.searchsorted(log.offsets, positions, side="right") - 1
    asked = (known_of_user[users] > 0) & np.isin(positions, log.first_touches())
    ends = (log.offsets[:-1] + known_of_user)[users]
    return Fold(log.select(known), Queries(log, positions[asked], ends[asked]))


def _cut(times: NDArray[np.float64]) -> float:
    """Unix seconds of the last known event; those of the same second are known too."""
    if not len(times):
        return 0.0
    return float(np.quantile(times, _KNOWN_SHARE, method="lower"))
