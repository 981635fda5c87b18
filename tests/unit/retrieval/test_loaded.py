"""A release that retrieval cannot use is refused with a reason."""

import pytest

from models.release import ITEM_FACTORS, ReleaseError
from services.retrieval.loaded import load_release
from tests.unit.retrieval.world import write_release


def test_a_damaged_release_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("damaged")
    release = write_release(root, 50)
    file = release.path / ITEM_FACTORS
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ReleaseError, match="checksum"):
        load_release(root, release.release_id)
