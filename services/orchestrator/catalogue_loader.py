"""Catalogues from release folders, with the live items of the moment."""

from pathlib import Path

from models.release import Release, ReleaseError
from services.common.errors import FailedPrecondition
from services.common.live_view import LiveItems
from services.orchestrator.catalogue import Catalogue, load_tower


class CatalogueLoader:
    """Reads releases. Every method blocks.

    Args:
        root: folder of the release folders.
        live: items to lay over a release; None for none.
    """

    def __init__(self, root: Path, live: LiveItems | None) -> None:
        self._root = root
        self._live = live

    def load(self, release_id: str) -> Catalogue:
        """A release, its files compared with their checksums.

        Raises:
            FailedPrecondition: it is missing or damaged.
        """
        try:
            release = Release(self._root / release_id)
            release.verify()
            # Read now what requests read, so that none of them pays for it.
            _ = release.items.row_of, release.popular_rows, release.item_vectors, release.user_rows
            catalogue = Catalogue.of(release)
            _ = catalogue.genres, catalogue.creators
            if self._live is None:
                return catalogue
            catalogue = catalogue.with_live(self._live.current())
            needed = catalogue.needs_tower
            return catalogue.with_tower(load_tower(release)) if needed else catalogue
        except ReleaseError as error:
            raise FailedPrecondition(str(error)) from None

    def refresh(self, known: Catalogue) -> Catalogue:
        """The same release with what live items there are now; fast.

        Raises:
            FailedPrecondition: its files are gone, so that nobody could load it again.
        """
        try:
            Release(known.release.path).check_files()
        except ReleaseError as error:
            raise FailedPrecondition(str(error)) from None
        if self._live is None or known.live is (live := self._live.current()):
            return known
        return known.with_live(live)
