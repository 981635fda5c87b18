"""What a replica consists of: the releases in memory, and the servicer that scores with them."""

import logging
import sys
from contextlib import redirect_stderr

import torch

from models.final_score import release_scorer
from models.release import ReleaseError
from services.common.database import open_database
from services.common.live_items import LiveItemTable
from services.common.live_view import LiveItems
from services.common.release_cache import ReleaseCache
from services.common.releases import ReleaseRegistry
from services.common.telemetry import configure_logging
from services.ranking.live import LiveScorers
from services.ranking.scoring import LoadedRelease, load_release
from services.ranking.service import RankingServicer
from services.ranking.settings import RankingSettings

log = logging.getLogger(__name__)


class Replica:
    """Built once in each replica's process. Holds the active release when it is built.

    Attributes:
        releases: the releases in memory.
        servicer: answers calls.
    """

    def __init__(self, settings: RankingSettings) -> None:
        # Ray Serve sends stderr to a buffered file of its own; the driver shows the process's.
        with redirect_stderr(sys.__stderr__):
            configure_logging("ranking", settings.log_level)
        # One request uses one core; other cores are for other replicas.
        torch.set_num_threads(1)
        self._settings = settings
        engine = open_database(settings.database_url)
        self._items = LiveItems(LiveItemTable(engine))
        live = LiveScorers(self._items)
        self.releases = ReleaseCache(self._load, settings.loaded_releases)
        self.servicer = RankingServicer(self.releases, live)
        self._load_active_release(ReleaseRegistry(engine).active())
        self._items.start()

    def _load(self, release_id: str) -> LoadedRelease:
        return load_release(self._settings.release_root / release_id, release_scorer)

    def _load_active_release(self, active: str | None) -> None:
        if active is None:
            return
        try:
            self.releases.keep(self._load(active))
        except ReleaseError as error:
            # Up without it, so that another release can be prepared and activated.
            log.error("the active release cannot be loaded: %s", error)
