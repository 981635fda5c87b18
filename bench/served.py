"""Quality as served: `tandem evaluate --served`.

Learns from what lies before a test, starts a system on it in a temporary state, and asks that
system, over gRPC, what the test's users will do next.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, cast

import numpy as np
import pandas as pd
from rich.console import Console

from bench.asking import (
    Answers,
    Question,
    Rows,
    Running,
    Step,
    ask,
    recording_steps,
    steps,
)
from bench.temporary import start, temporary_state
from deploy.local.state import State
from models.diversity import DEFAULT_WEIGHT
from models.final_score import release_scorer
from models.release import Release
from services.orchestrator.settings import OrchestratorSettings
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import EventKind, event
from training.cohorts import Masks, by_cohort, cohorts
from training.data import EVENT_COLUMNS, DataError, InteractionData, assemble
from training.friends import Friends
from training.job import train_from_log
from training.metrics import TOP
from training.progress import show_progress
from training.protocols import PROTOCOLS, Fold
from training.ranks import MISSED, Ranked, rank_targets
from training.sequences import EventSequences, event_sequences
from training.splits import Queries, thinned
from training.surroundings import Around
from training.tandem_models import FittedTandem

_console = Console(stderr=True)


def run(data: InteractionData, protocol: str, questions: int = 2_000) -> dict[str, Any]:
    """Measures what a system serves.

    Args:
        data: the log.
        protocol: a name of `training.protocols.PROTOCOLS`.
        questions: most that are asked; of more, as many at even distances in time.

    Returns:
        The part `served` of the document in docs/evaluation.md.

    Raises:
        DataError: the protocol is unknown, or the log is too small for it.
        StateError: the system does not come up.
        AskingError: it does not answer in time.
    """
    if protocol not in PROTOCOLS:
        raise DataError("evaluate", f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    test = PROTOCOLS[protocol](event_sequences(data)).test
    if not len(test.train) or not len(test.queries):
        raise DataError("evaluate", f"{protocol} finds no event to predict")
    asked = thinned(test.queries, questions)
    walk = _recording if test.queries.recorded else _asking
    with temporary_state("tandem-evaluate-") as state:
        # As the orchestrator reads them: from the same environment.
        settings = OrchestratorSettings(
            release_root=state.releases, database_url=state.database_url
        )
        began = perf_counter()
        release = train_from_log(
            events_of(test.train, data),
            database_url=state.database_url,
            release_root=state.releases,
            activate_at_start=True,
        )
        trained = perf_counter()
        with _console.status("starting") as shown:
            start(state, lambda names: shown.update(f"waiting for {', '.join(names)}"))
        started = perf_counter()
        system = _running(state, release, settings)
        until = float(test.train.times.max()) if test.queries.recorded else None
        steps = walk(test.queries, asked, data, until)
        answers = _ask(system, steps, len(asked.questions()[0]))
        answered = perf_counter()
        exact = _exact(release, DEFAULT_WEIGHT, Fold(test.train, asked), data)
    return {
        **figures(answers, Fold(test.train, asked), len(data.items)),
        "ndcg_offline": exact.metrics().ndcg,
        "questions": len(asked.questions()[0]),
        "sampled": len(asked) < len(test.queries),
        "levels": dict(answers.levels),
        "requests": answers.requests,
        "failed": answers.failed,
        "refused_events": answers.refused,
        "seconds": {
            "train": trained - began,
            "start": started - trained,
            "ask": answered - started,
        },
    }


def figures(answers: Answers, asked: Fold, n_items: int) -> dict[str, Any]:
    """Metrics of what came back: the first ten, the deep lists, the candidates; and of first tens
    without sessions, where they were asked for.

    Args:
        asked: what was learnt from, and the queries of the questions.
        n_items: size of the catalogue.
    """
    slates, frozen, deeper = (
        ranked(lists, asked.queries, n_items)
        for lists in (answers.slates, answers.frozen, answers.deep)
    )
    proposed = ranked(answers.candidates, asked.queries, n_items).metrics()
    first, deep = slates.metrics(), deeper.metrics()
    masks = cohorts(asked, n_items)
    live = {"without_session": _of_slates(frozen, asked, masks)} if asked.queries.recorded else {}
    return {
        **_of_slates(slates, asked, masks),
        **live,
        "recall@100": deep.recall_100,
        "recall@500": deep.recall_500,
        "coverage@10": first.coverage,
        "retrieval_recall@100": proposed.recall_100,
        "retrieval_recall@500": proposed.recall_500,
    }


def _of_slates(slates: Ranked, asked: Fold, masks: Masks) -> dict[str, Any]:
    """Hit rate and nDCG of first tens: means over questions, over users, and by cohort."""

    def kept(figures: Mapping[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in figures.items() if name in ("n", "hr@10", "ndcg@10")}

    users = asked.queries.questions()[0].users
    return {
        **kept(slates.metrics().named()),
        "per_user": kept(slates.accuracy().user_means(users)),
        "cohorts": {
            kind: {name: kept(each) for name, each in of_kind.items()}
            for kind, of_kind in by_cohort(slates, masks).items()
        },
    }


def ranked(lists: Sequence[Rows], asked: Queries, n_items: int) -> Ranked:
    """Lists, one a question, best first, as the metrics take them; what a list lacks is missed."""
    _asked, questions = asked.questions()
    places = [{int(row): place for place, row in enumerate(each)} for each in lists]
    ranks = [
        places[question].get(int(target), MISSED)
        for question, target in zip(questions, asked.targets, strict=True)
    ]
    shown = np.full((len(lists), min(TOP, n_items)), -1, np.int32)
    for row, each in zip(shown, lists, strict=True):
        row[: len(each)] = each[: len(row)]
    return Ranked(np.array(ranks, np.int64), shown, n_items, questions)


def events_of(log: EventSequences, data: InteractionData) -> InteractionData:
    """Some events of a log as a log of their own, with all of its items and users."""
    columns = (
        pd.Categorical.from_codes(log.users, pd.Index(data.users["user_id"])),
        pd.Categorical.from_codes(log.rows, pd.Index(data.items["item_id"])),
        log.kinds,
        log.values,
        log.times,
        np.array(log.region_names, object)[log.regions],
    )
    frame = pd.DataFrame(dict(zip(EVENT_COLUMNS, columns, strict=True)))
    return assemble(frame, data.items, data.users, data.skipped)


def _ask(system: Running, walk: Iterator[Step], count: int) -> Answers:
    with show_progress() as progress:
        return asyncio.run(ask(system, walk, count, partial(progress, "asking")))


def _asking(
    _all: Queries, asked: Queries, data: InteractionData, until: float | None
) -> Iterator[Step]:
    return steps(_questions(asked, data, until))


def _recording(
    all_events: Queries, asked: Queries, data: InteractionData, until: float | None
) -> Iterator[Step]:
    """Asks for some of the events; records all of them, in the order of their times."""
    questions = _questions(asked, data, until)
    question_of = dict(zip(asked.positions.tolist(), questions, strict=True))
    log, positions = all_events.log, all_events.positions
    ordered = positions[np.argsort(log.times[positions], kind="stable")].tolist()
    events = [_event(log, position, data) for position in ordered]
    return recording_steps(events, [question_of.get(position) for position in ordered])


def _questions(asked: Queries, data: InteractionData, until: float | None) -> list[Question]:
    """In the order of `Queries.questions`."""
    questions, _ = asked.questions()
    user_ids, log = data.users["user_id"].to_numpy(dtype=object), asked.log
    regions = log.regions[questions.ends]
    return [
        Question(place, str(user_ids[user]), time, log.region_names[region], until)
        for place, (user, time, region) in enumerate(
            zip(questions.users, questions.times.tolist(), regions, strict=True)
        )
    ]


def _event(log: EventSequences, position: int, data: InteractionData) -> pb.Event:
    user = int(np.searchsorted(log.offsets, position, side="right")) - 1
    return event(
        str(data.users["user_id"].iat[user]),
        str(data.items["item_id"].iat[int(log.rows[position])]),
        cast(EventKind, int(log.kinds[position])),
        value=float(log.values[position]),
        at=float(log.times[position]),
        region=log.region_names[log.regions[position]],
        event_id=f"test-{position}",
    )


def _running(state: State, release: Release, settings: OrchestratorSettings) -> Running:
    ports = state.ports()
    return Running(
        orchestrator=f"127.0.0.1:{ports.orchestrator}",
        features=f"127.0.0.1:{ports.features}",
        retrieval=f"127.0.0.1:{ports.retrieval}",
        release=release,
        candidates=settings.candidates,
    )


def _exact(release: Release, diversity: float, asked: Fold, data: InteractionData) -> Ranked:
    """The release without services: every item scored, a first ten made diverse as in serving."""
    half_life = release.manifest.config["trend_half_life_days"]
    around = Around(Friends.of(data.users), half_life, asked.train)
    fitted = FittedTandem(release_scorer(release), diversity, around)
    return rank_targets(fitted.score, asked.queries, len(release.items))
