"""Asks a running system the questions of a test, and takes its answers as item rows."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.errors import ReportedError
from models.release import Release
from services.common.deadlines import Budget
from services.common.errors import DomainError
from services.orchestrator.candidates import Query
from services.orchestrator.catalogue import Catalogue
from services.orchestrator.clients import FeaturesClient, RetrievalClient
from services.orchestrator.hydrators import UserHydrator
from services.orchestrator.sources import RetrievalSource
from tandem.recommender.v1 import recommender_pb2 as pb
from tandem_client import AsyncClient, TandemError
from training.metrics import TOP

Rows = NDArray[np.int32]

DEPTH = 500
"""Items asked for where recall is measured; the most that Recommend gives."""

SECONDS = 900.0
"""Longest that asking 2,000 questions or fewer may take; more have as much more."""

_DEADLINE_SECONDS = 5.0  # generous: what is measured is quality, not speed
_AT_ONCE = 4
_EVENTS_AT_ONCE = 1_000
_WARM_UP_SECONDS = 30.0
_PAUSE_SECONDS = 0.2


class AskingError(ReportedError):
    """The system did not answer in time."""


@dataclass(frozen=True)
class Question:
    """Whom to recommend to, and when.

    Attributes:
        place: its number among the questions.
        time: the moment, in Unix seconds.
        region: where the request is made; empty when unknown.
        learnt_until: the moment, in Unix seconds, that all models end at. The question is then also
            asked as of it, which a recommender without session features would answer for ever. None
            asks for no such answer.
    """

    place: int
    user_id: str
    time: float
    region: str
    learnt_until: float | None = None


@dataclass(frozen=True)
class Step:
    """Questions that are asked at once, and events that are recorded when all are answered."""

    questions: Sequence[Question]
    events: Sequence[pb.Event] = ()


@dataclass(frozen=True)
class Running:
    """A system that is up.

    Attributes:
        orchestrator, features, retrieval: `host:port` of the services.
        release: what it serves.
        candidates: how many it ranks for a request.
    """

    orchestrator: str
    features: str
    retrieval: str
    release: Release
    candidates: int


@dataclass
class Answers:
    """What came back, by the places of questions; no rows where a call failed.

    Attributes:
        slates: first ten, from calls of Recommend for ten items.
        frozen: first ten as of `Question.learnt_until`.
        deep: first 500, from calls of Recommend for as many.
        candidates: what the retrieval service proposes to rank, in its own order.
        levels: calls of Recommend by the level of their answer.
        requests: calls of Recommend.
        failed: calls without an answer, those to retrieval included.
        refused: events that were not recorded.
    """

    slates: list[Rows]
    frozen: list[Rows]
    deep: list[Rows]
    candidates: list[Rows]
    levels: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    failed: int = 0
    refused: int = 0

    @classmethod
    def to(cls, count: int) -> Self:
        """To `count` questions, none of which has been asked."""
        nothing = np.empty(0, np.int32)
        slates, frozen, deep, candidates = ([nothing] * count for _ in range(4))
        return cls(slates, frozen, deep, candidates)


def steps(questions: Sequence[Question]) -> Iterator[Step]:
    """Questions in any order, some at a time."""
    for start in range(0, len(questions), _AT_ONCE):
        yield Step(questions[start : start + _AT_ONCE])


def recording_steps(
    events: Sequence[pb.Event], questions: Sequence[Question | None]
) -> Iterator[Step]:
    """Asks before each event that has a question, and records each afterwards, in this order.

    Several are asked for at once while none of their users has an event in between, so that each
    question finds all earlier events of its user recorded, and none that is later.

    Args:
        events: in the order of their times.
        questions: one an event; None for an event that is only recorded.
    """
    asked: list[Question] = []
    after: list[pb.Event] = []
    for event, question in zip(events, questions, strict=True):
        full = len(asked) == _AT_ONCE or len(after) == _EVENTS_AT_ONCE
        if full or (question and any(each.user_id == question.user_id for each in after)):
            yield Step(asked, after)
            asked, after = [], []
        if question:
            asked.append(question)
        after.append(event)
    yield Step(asked, after)


async def ask(
    system: Running, walk: Iterator[Step], count: int, progress: Callable[[int, int], None]
) -> Answers:
    """Goes through the steps, one after another.

    Args:
        system: the one to ask.
        walk: from `steps` or `recording_steps`.
        count: of the questions in it.
        progress: called with (questions answered, questions in all).

    Raises:
        AskingError: it took longer than `SECONDS` allow.
        TandemError: an event could not be recorded.
    """
    asker, done = _Asker(system, Answers.to(count)), 0
    seconds = SECONDS * max(1.0, count / 2_000)
    try:
        async with asyncio.timeout(seconds):
            await asker.warm_up()
            for step in walk:
                await asker.take(step)
                done += len(step.questions)
                progress(done, count)
    except TimeoutError:
        text = f"{done} of {count} questions were answered within {seconds:.0f} seconds"
        raise AskingError(f"evaluate --served: only {text}") from None
    finally:
        await asker.close()
    return asker.answers


class _Asker:
    """Connected to the public API, and to the services that the first two stages ask."""

    def __init__(self, system: Running, answers: Answers) -> None:
        self.answers = answers
        self._release = system.release
        self._public = AsyncClient(system.orchestrator, timeout=_DEADLINE_SECONDS)
        self._features = FeaturesClient([system.features])
        self._retrieval = RetrievalClient([system.retrieval])
        self._hydrator = UserHydrator(self._features, remember=0)
        self._source = RetrievalSource(self._retrieval, system.candidates)

    async def close(self) -> None:
        for each in (self._public, self._features, self._retrieval):
            await each.close()

    async def warm_up(self) -> None:
        """Waits for an answer of the full level: first calls open connections."""
        clock = asyncio.get_running_loop().time
        ends = clock() + _WARM_UP_SECONDS
        while clock() < ends:
            try:
                if (await self._public.recommend("warm-up")).level == pb.LEVEL_FULL:
                    return
            except TandemError:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)

    async def take(self, step: Step) -> None:
        await asyncio.gather(*(self._ask(question) for question in step.questions))
        if step.events:
            recorded = await self._public.record(step.events)
            self.answers.refused += len(recorded.errors)

    async def _ask(self, question: Question) -> None:
        place, answers = question.place, self.answers
        answers.slates[place] = await self._recommended(question, TOP, question.time)
        answers.deep[place] = await self._recommended(question, DEPTH, question.time)
        if question.learnt_until is not None:
            answers.frozen[place] = await self._recommended(question, TOP, question.learnt_until)
        answers.candidates[place] = await self._retrieved(question)

    async def _recommended(self, question: Question, count: int, time: float) -> Rows:
        self.answers.requests += 1
        try:
            answer = await self._public.recommend(
                question.user_id, count, time=time, region=question.region
            )
        except TandemError:
            self.answers.failed += 1
            return np.empty(0, np.int32)
        self.answers.levels[pb.Level.Name(answer.level)] += 1
        return self._release.items.rows([item.item_id for item in answer.items])

    async def _retrieved(self, question: Question) -> Rows:
        """The first two stages of the pipeline, as the orchestrator runs them."""
        query = Query(
            request_id="",
            user_id=question.user_id,
            count=DEPTH,
            time=question.time,
            as_of=question.time,
            catalogue=Catalogue.of(self._release),
            budget=Budget.of(_DEADLINE_SECONDS),
            region=question.region,
        )
        try:
            found = await self._source.fetch(await self._hydrator.hydrate(query))
        except DomainError:
            self.answers.failed += 1
            return np.empty(0, np.int32)
        return found.candidates.rows
