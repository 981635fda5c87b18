"""A system's state folder: where each thing lives, and the addresses the system was given."""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from models.errors import ReportedError

DEFAULT_STATE = Path(".tandem")
DEFAULT_PORT = 50051
_LONGEST_TEMP = 12


class StateError(ReportedError):
    """The state folder cannot be used; the text says why, in one line."""


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one system. Chosen at first start, and kept while they are free."""

    orchestrator: int = DEFAULT_PORT
    features: int = 0
    retrieval: int = 0
    milvus: int = 0
    ranking: int = 0
    ranking_fallback: int = 0


class State:
    """Paths under the state folder. Making one touches nothing on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    @property
    def rules(self) -> Path:
        return self.path / "rules.yaml"

    @property
    def features(self) -> Path:
        return self.path / "features"

    @property
    def milvus_db(self) -> Path:
        return self.path / "milvus" / "tandem.db"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.path / 'tandem.db'}"

    @property
    def runtime(self) -> Path:
        """Sockets and Ray's session files. Short, since socket paths end at 107 bytes."""
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:10]
        temporary = tempfile.gettempdir()
        return Path(temporary if len(temporary) <= _LONGEST_TEMP else "/tmp") / f"tandem-{digest}"

    @property
    def marker(self) -> str:
        """Value of the `TANDEM_STATE` variable that every process of the system carries."""
        return str(self.path)

    def create(self) -> None:
        """Makes the folders.

        Raises:
            StateError: the folder cannot be written.
        """
        try:
            for folder in (self.logs, self.releases, self.features, self.milvus_db.parent):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{error.filename}: {error.strerror}") from None

    def ports(self) -> Ports:
        """The ports of the last start, or defaults before the first one.

        Raises:
            StateError: the file that remembers them is damaged.
        """
        file = self._ports_file
        if not file.exists():
            return Ports()
        try:
            return Ports(**json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise StateError(f"{file}: {error}") from None

    def remember(self, ports: Ports) -> None:
        temporary = self._ports_file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(ports), indent=2) + "\n")
        temporary.replace(self._ports_file)

    @property
    def _ports_file(self) -> Path:
        return self.path / "ports.json"
