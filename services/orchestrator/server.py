"""The recommender, one list a stage, and the wiring of the orchestrator."""

import asyncio

from grpc import aio

from services.common.database import open_database
from services.common.erased import ErasedUsers
from services.common.live_items import LiveItemTable
from services.common.live_view import LiveItems
from services.common.releases import ReleaseRegistry
from services.common.slates import SlateLog
from services.common.stored import StoredRecommendations
from services.orchestrator.clients import FeaturesClient, RankingClient, RetrievalClient
from services.orchestrator.erasures import ErasureFollower
from services.orchestrator.exploration import NewItemExplorer
from services.orchestrator.filters import AlreadySeenFilter, ExcludedIdsFilter, UnavailableFilter
from services.orchestrator.hydrators import ItemHydrator, UserHydrator
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.release_switch import ReleaseSwitch
from services.orchestrator.scorers import RankingScorer
from services.orchestrator.selectors import MmrSelector
from services.orchestrator.service import AdminServicer, RecommenderServicer
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.slate_writer import SlateWriter
from services.orchestrator.sources import PopularSource, RetrievalSource, StoredSource
from tandem.recommender.v1 import recommender_pb2_grpc


class OrchestratorService:
    """Serves `RecommenderService` and `AdminService`."""

    names = ("tandem.recommender.v1.RecommenderService", "tandem.recommender.v1.AdminService")

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        self._engine = open_database(settings.database_url)
        self._stored = StoredRecommendations(self._engine)
        self._erased = ErasedUsers(self._engine)
        self._live = LiveItems(LiveItemTable(self._engine))
        self._slates = SlateWriter(SlateLog(self._engine), settings.slate_log_days)

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
        )
        recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(
            RecommenderServicer(
                self._pipeline(),
                self._switch,
                self._stored,
                self._features,
                self._retrieval,
                settings.default_deadline_seconds,
                self._erased.among,
                self._slates,
            ),
            server,
        )
        recommender_pb2_grpc.add_AdminServiceServicer_to_server(
            AdminServicer(
                self._switch,
                self._features,
                self._live,
                self._users.forget,
                settings.default_deadline_seconds,
            ),
            server,
        )

    def _pipeline(self) -> Pipeline:
        settings = self._settings
        return Pipeline(
            query_hydrators=[self._users],
            sources=[RetrievalSource(self._retrieval, settings.candidates)],
            fallbacks=[StoredSource(self._stored), PopularSource()],
            hydrators=[ItemHydrator()],
            filters=[AlreadySeenFilter(), ExcludedIdsFilter(), UnavailableFilter()],
            scorers=[RankingScorer(self._ranking)],
            selectors=[MmrSelector(settings.diversity_weight)],
            max_candidates=settings.candidates,
            explorer=NewItemExplorer(settings.exploration_rate, settings.exploration_days),
        )

    async def start(self) -> None:
        await asyncio.to_thread(self._live.start)
        await self._switch.start()
        self._erasures.start()
        self._slates.start()

    async def close(self) -> None:
        await self._slates.close()
        await self._switch.close()
        await self._erasures.close()
        await asyncio.to_thread(self._live.close)
        for client in (self._features, self._retrieval, self._ranking):
            await client.close()
        self._engine.dispose()
