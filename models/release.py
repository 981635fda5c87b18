"""The release object on disk: one folder that holds all that one training run produced.

Written once by `ReleaseWriter`, read-only afterwards. Services load the parts they need.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.errors import ReportedError
from models.metadata import genre_vectors

FORMAT_VERSION = 2

ITEMS = "items.parquet"
USERS = "users.parquet"
STORED = "stored.parquet"
ITEM_VECTORS = "item_vectors.npy"
ITEM_FACTORS = "item_factors.npy"
USER_FACTORS = "user_factors.npy"
NEIGHBOUR_ROWS = "neighbour_rows.npy"
NEIGHBOUR_SCORES = "neighbour_scores.npy"
TRANSITION_ROWS = "transition_rows.npy"
TRANSITION_SCORES = "transition_scores.npy"
EASE_ROWS = "ease_rows.npy"
EASE_SCORES = "ease_scores.npy"
POPULAR_ROWS = "popular_rows.npy"
MODEL = "two_tower.pt"
PROBE = "probe.parquet"
TRIAL = "trial.pt"
"""Towers that have not seen the held-out events, for the next refresh; earlier releases lack it."""
HELD_OUT = "held_out.npy"
"""(p, 2) int32 rows of users and items: those events; beside `TRIAL`."""
_MANIFEST = "release.json"


class ReleaseError(ReportedError):
    """A release folder is missing, incomplete or damaged; the text says which file and why."""


@dataclass(frozen=True)
class Manifest:
    """What the release is.

    Attributes:
        release_id: unique per build, never a content hash.
        created_at: ISO 8601, UTC.
        cut_off: Unix seconds of the newest event learnt from.
        n_items, n_users, n_events: sizes of what was learnt from.
        feature_schema: hash of the names and order of the model's inputs.
        config: the training settings.
        metrics: offline metrics by name ("ndcg@10").
        weights: of the parts of the final score, by name; empty when the towers score alone.
        head: what turns a final score into a prediction, as `models.head.Head`; empty for none.
        sha256: checksum of every file, by name.
    """

    release_id: str
    created_at: str
    cut_off: float
    n_items: int
    n_users: int
    n_events: int
    feature_schema: str
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Items:
    """The item table; an item's position in every array is its row.

    Attributes:
        ids: (n,) object array of str.
        titles: (n,) object array of str; empty when unknown.
        genres: n tuples of genre names.
        years: (n,) int16; 0 when unknown.
        adult: (n,) bool.
        available: (n,) bool.
        creators: n tuples of names.
        available_from: (n,) float64 Unix seconds, 0 for from ever: shown from then on.
        available_until: (n,) float64 Unix seconds, inf for never: not shown from then on.
    """

    ids: NDArray[np.object_]
    titles: NDArray[np.object_]
    genres: list[tuple[str, ...]]
    years: NDArray[np.int16]
    adult: NDArray[np.bool_]
    available: NDArray[np.bool_]
    creators: list[tuple[str, ...]]
    available_from: NDArray[np.float64]
    available_until: NDArray[np.float64]

    @classmethod
    def of_table(cls, table: pd.DataFrame) -> "Items":
        """The items of a release's or a log's table.

        Args:
            table: `item_id`, `title`, `genres`, `year`, `adult`, `available`, `creators`,
                `available_from`, `available_until`; the last three may be missing, as they are in
                releases of earlier versions.
        """
        return cls(
            ids=table["item_id"].to_numpy(dtype=object),
            titles=table["title"].to_numpy(dtype=object),
            genres=[tuple(genres) for genres in table["genres"]],
            years=table["year"].to_numpy(dtype=np.int16),
            adult=table["adult"].to_numpy(dtype=np.bool_),
            available=table["available"].to_numpy(dtype=np.bool_),
            creators=[tuple(names) for names in table.get("creators", [()] * len(table))],
            available_from=_times(table, "available_from", 0.0),
            available_until=_times(table, "available_until", np.inf),
        )

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row by item id."""
        return {item_id: row for row, item_id in enumerate(self.ids.tolist())}

    def rows(self, item_ids: list[str]) -> NDArray[np.int32]:
        """Rows of the ids that exist, in order; unknown ids are left out."""
        row_of = self.row_of
        return np.array([row_of[i] for i in item_ids if i in row_of], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.ids)


class Release:
    """A release folder, opened for reading. Arrays are memory-mapped, and shared by processes.

    Raises:
        ReleaseError: the folder is missing, incomplete, or of another format version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            raw = json.loads((path / _MANIFEST).read_text())
        except FileNotFoundError:
            raise ReleaseError(f"{path / _MANIFEST}: no such release") from None
        except ValueError as error:
            raise ReleaseError(f"{path / _MANIFEST}: {error}") from None
        if raw.get("format_version") != FORMAT_VERSION:
            raise ReleaseError(
                f"{path / _MANIFEST}: format_version {raw.get('format_version')}, "
                f"this version reads {FORMAT_VERSION}"
            )
        self.manifest = Manifest(**raw)

    @property
    def release_id(self) -> str:
        return self.manifest.release_id

    def check_files(self) -> None:
        """Looks whether every file is there; takes no time to speak of.

        Raises:
            ReleaseError: one is missing.
        """
        for name in self.manifest.sha256:
            if not (self.path / name).is_file():
                raise ReleaseError(f"{self.path / name}: missing")

    def verify(self) -> None:
        """Compares every file with its checksum.

        Raises:
            ReleaseError: a file is missing or differs.
        """
        self.check_files()
        for name, expected in self.manifest.sha256.items():
            file = self.path / name
            if _sha256(file) != expected:
                raise ReleaseError(f"{file}: checksum differs from the manifest's")

    @cached_property
    def items(self) -> Items:
        return Items.of_table(pd.read_parquet(self.path / ITEMS))

    @cached_property
    def users(self) -> pd.DataFrame:
        """Columns `user_id`, `region`, `friends` (list of ids); row order is that of
        `user_factors`."""
        return pd.read_parquet(self.path / USERS)

    @cached_property
    def user_rows(self) -> dict[str, int]:
        """Row by user id."""
        return {str(user_id): row for row, user_id in enumerate(self.users["user_id"])}

    @cached_property
    def genre_vectors(self) -> NDArray[np.float32]:
        """(n, g) genres of items; see `models.metadata.genre_vectors`."""
        return genre_vectors(self.items.genres)

    @cached_property
    def item_vectors(self) -> NDArray[np.float32]:
        """(n, d) tower-space vectors; the inner product with a user vector is the model's score."""
        return self._array(ITEM_VECTORS)

    @cached_property
    def item_factors(self) -> NDArray[np.float32]:
        """(n, k) matrix-factorization vectors of items."""
        return self._array(ITEM_FACTORS)

    @cached_property
    def user_factors(self) -> NDArray[np.float32]:
        """(n_users, k) matrix-factorization vectors of users."""
        return self._array(USER_FACTORS)

    @cached_property
    def neighbour_rows(self) -> NDArray[np.int32]:
        """(n, m) rows of each item's nearest items, nearest first; -1 pads."""
        return self._array(NEIGHBOUR_ROWS)

    @cached_property
    def neighbour_scores(self) -> NDArray[np.float32]:
        """(n, m) similarities; parallel to `neighbour_rows`."""
        return self._array(NEIGHBOUR_SCORES)

    @cached_property
    def transition_rows(self) -> NDArray[np.int32]:
        """(n, m) rows of the items that most often follow each item; -1 pads."""
        return self._array(TRANSITION_ROWS)

    @cached_property
    def transition_scores(self) -> NDArray[np.float32]:
        """(n, m) smoothed transition probabilities; parallel to `transition_rows`."""
        return self._array(TRANSITION_SCORES)

    @cached_property
    def ease_rows(self) -> NDArray[np.int32]:
        """(n, m) rows of the items that each item speaks for most, by EASE; -1 pads."""
        return self._array(EASE_ROWS)

    @cached_property
    def ease_scores(self) -> NDArray[np.float32]:
        """(n, m) EASE weights; parallel to `ease_rows`."""
        return self._array(EASE_SCORES)

    @cached_property
    def popular_rows(self) -> NDArray[np.int32]:
        """(n,) all rows, most popular first."""
        return self._array(POPULAR_ROWS)

    def stored(self) -> pd.DataFrame:
        """Batch recommendations: columns `user_id`, `rows` (list of int), `scores`."""
        return pd.read_parquet(self.path / STORED)

    @property
    def model_path(self) -> Path:
        """The two towers' weights and configuration."""
        return self.path / MODEL

    def _array(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
        return array


class ReleaseWriter:
    """Writes a release so that it appears whole or not at all.

    Files go to a hidden folder beside the final one; `commit` adds the manifest with checksums and
    renames. Leaving the context without a commit removes everything.
    """

    def __init__(self, root: Path) -> None:
        now = datetime.now(UTC)
        self.release_id = f"{now:%Y%m%d-%H%M%S}-{uuid4().hex[:8]}"
        self._created_at = now.isoformat(timespec="milliseconds")
        self._final = root / self.release_id
        self.path = root / f".{self.release_id}.building"

    def __enter__(self) -> "ReleaseWriter":
        self.path.mkdir(parents=True)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)

    def array(self, name: str, values: NDArray[Any]) -> None:
        np.save(self.path / name, values, allow_pickle=False)

    def table(self, name: str, values: pd.DataFrame) -> None:
        values.to_parquet(self.path / name, index=False)

    def commit(
        self,
        *,
        cut_off: float,
        n_items: int,
        n_users: int,
        n_events: int,
        feature_schema: str,
        config: dict[str, Any],
        metrics: dict[str, float],
        weights: dict[str, float] | None = None,
        head: dict[str, Any] | None = None,
    ) -> Release:
        """Seals the release and gives it its final name."""
        manifest = Manifest(
            release_id=self.release_id,
            created_at=self._created_at,
            cut_off=cut_off,
            n_items=n_items,
            n_users=n_users,
            n_events=n_events,
            feature_schema=feature_schema,
            config=config,
            metrics=metrics,
            weights=weights or {},
            head=head or {},
            sha256={file.name: _sha256(file) for file in sorted(self.path.iterdir())},
        )
        (self.path / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        self.path.rename(self._final)
        return Release(self._final)


def _times(table: pd.DataFrame, column: str, unknown: float) -> NDArray[np.float64]:
    if column not in table:
        return np.full(len(table), unknown)
    return table[column].to_numpy(dtype=np.float64)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
