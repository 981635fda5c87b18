"""The recommender, one list a stage, and the wiring of the orchestrator."""

import asyncio
from contextlib import suppress

from grpc import aio
from prometheus_client import REGISTRY

from models.release import Release
from services.common.database import open_database
from services.common.erased import ErasedUsers
from services.common.live_items import LiveItemTable
from services.common.live_view import LiveItems
from services.common.releases import ReleaseRegistry
from services.common.skew_runs import SkewRuns
from services.common.slates import SlateLog
from services.common.stored import StoredRecommendations
from services.orchestrator.admin import AdminServicer
from services.orchestrator.budgets import PromotionBudgets, SpentBudgets
from services.orchestrator.clients import FeaturesClient, RankingClient, RetrievalClient
from services.orchestrator.collectors import ReleaseCollector, SkewCollector
from services.orchestrator.erasures import ErasureFollower
from services.orchestrator.exploration import NewItemExplorer
from services.orchestrator.filters import (
    AdultFilter,
    AlreadySeenFilter,
    BlockedCreatorsFilter,
    BlockedGenresFilter,
    BlockedItemsFilter,
    ExcludedIdsFilter,
    FrequencyFilter,
    UnavailableFilter,
    WindowFilter,
)
from services.orchestrator.hydrators import UserHydrator
from services.orchestrator.impressions import ImpressionHydrator
from services.orchestrator.pipeline import Filter, Pipeline
from services.orchestrator.policy import Policy
from services.orchestrator.probe import ReleaseProbe
from services.orchestrator.promotions import PromotionSource, SlotPromoter
from services.orchestrator.reasoner import Reasoner
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.replay import Parts, SlateReplayer
from services.orchestrator.rules_archive import RulesArchive
from services.orchestrator.rules_file import RulesFile
from services.orchestrator.scorers import BoostScorer, RankingScorer
from services.orchestrator.selectors import SlateComposer
from services.orchestrator.service import RecommenderServicer
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.slate_writer import SlateWriter
from services.orchestrator.sources import PopularSource, RetrievalSource, StoredSource
from tandem.recommender.v1 import recommender_pb2_grpc

_PREPARE_SECONDS = 120.0


def policy_filters() -> list[Filter]:
    """What keeps items out whoever asks for them, and in lists of any kind."""
    return [
        UnavailableFilter(),
        WindowFilter(),
        BlockedItemsFilter(),
        BlockedGenresFilter(),
        BlockedCreatorsFilter(),
        AdultFilter(),
    ]


def standard_filters() -> list[Filter]:
    """What every slate is filtered by, in order."""
    return [*policy_filters(), AlreadySeenFilter(), ExcludedIdsFilter(), FrequencyFilter()]


class OrchestratorService:
    """Serves `RecommenderService` and `AdminService`."""

    names = ("tandem.recommender.v1.RecommenderService", "tandem.recommender.v1.AdminService")

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self._engine = open_database(settings.database_url)
        self._stored = StoredRecommendations(self._engine)
        self._erased = ErasedUsers(self._engine)
        self._live = LiveItems(LiveItemTable(self._engine))
        self._slate_log = SlateLog(self._engine)
        self._slates = SlateWriter(
            self._slate_log, settings.slate_log_days, settings.slate_detail_days
        )
        self._archive = RulesArchive(self._engine)
        self._budgets = PromotionBudgets(SpentBudgets(self._engine))
        self._rules = RulesFile(settings.rules_file, self._archive, self._budgets.follow)

    def register(self, server: aio.Server) -> None:
        settings = self._settings
        self._features = FeaturesClient(settings.features_addresses)
        self._retrieval = RetrievalClient(settings.retrieval_addresses)
        self._ranking = RankingClient(settings.ranking_addresses)
        self._users = UserHydrator(self._features, settings.known_users)
        self._erasures = ErasureFollower(
            self._erased, self._users.forget, settings.release_poll_seconds
        )
        self._switch = ReleaseSwitch(
            ReleaseRegistry(self._engine),
            settings.release_root,
            [self._features, self._retrieval, self._ranking],
            settings.prepare_seconds,
            settings.release_poll_seconds,
            self._live,
            ReleaseProbe(
                self._retrieval,
                self._ranking,
                self._erased.among,
                settings.probe_metric_margin,
                settings.probe_seconds,
            ),
        )
        self._collectors = (
            ReleaseCollector(self._switch.current),
            SkewCollector(SkewRuns(self._engine).newest),
        )
        parts, reasoner = self._parts(), Reasoner(self._ranking)
        recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(
            RecommenderServicer(
                self._pipeline(parts),
                self._switch,
                self._stored,
                self._features,
                self._retrieval,
                settings.default_deadline_seconds,
                self._erased.among,
                self._rules,
                self._slates,
                reasoner,
                Policy(policy_filters()),
            ),
            server,
        )
        recommender_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminServicer(
                self._switch,
                self._features,
                self._live,
                self._users.forget,
                self._rules,
                self._replayer(parts),
                reasoner,
                settings.default_deadline_seconds,
            ),
            server,
        )

    def _pipeline(self, parts: Parts) -> Pipeline:
        return Pipeline(
            query_hydrators=[
                self._users,
                ImpressionHydrator(self._slate_log, self._slates.waiting_for),
            ],
            sources=[parts.source, PromotionSource()],
            fallbacks=parts.fallbacks,
            filters=parts.filters,
            scorers=parts.scorers,
            selector=parts.selector,
            max_candidates=parts.max_candidates,
            promoter=SlotPromoter(self._budgets),
            explorer=parts.explorer,
        )

    def _parts(self) -> Parts:
        """What serving and replaying share."""
        settings = self._settings
        return Parts(
            source=RetrievalSource(self._retrieval, settings.candidates),
            fallbacks=[StoredSource(self._stored), PopularSource()],
            filters=standard_filters(),
            scorers=[RankingScorer(self._ranking), BoostScorer()],
            scorers_of_rules=[BoostScorer()],
            selector=SlateComposer(),
            explorer=NewItemExplorer(settings.exploration_rate, settings.exploration_days),
            max_candidates=settings.candidates,
        )

    def _replayer(self, parts: Parts) -> SlateReplayer:
        services = (self._retrieval, self._ranking)

        async def prepare(release_id: str) -> None:
            await asyncio.gather(*(s.prepare(release_id, _PREPARE_SECONDS) for s in services))

        return SlateReplayer(
            self._slate_log,
            self._archive,
            parts,
            self._switch.catalogue,
            lambda release_id: Release(self._settings.release_root / release_id),
            prepare,
            self._slates.flush,
        )

    async def start(self) -> None:
        for collector in self._collectors:
            REGISTRY.register(collector)
        await asyncio.to_thread(self._live.start)
        await self._rules.start()
        self._budgets.start()
        await self._switch.start()
        self._erasures.start()
        self._slates.start()

    async def close(self) -> None:
        for collector in self._collectors:
            with suppress(KeyError):  # it never started
                REGISTRY.unregister(collector)
        await self._slates.close()
        await self._rules.close()
        await self._budgets.close()
        await self._switch.close()
        await self._erasures.close()
        await asyncio.to_thread(self._live.close)
        for client in (self._features, self._retrieval, self._ranking):
            await client.close()
        self._engine.dispose()
