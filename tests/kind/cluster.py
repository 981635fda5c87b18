"""A kind cluster, by the commands that a person would type."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.docker.engine import EngineError, find_engine

_ENGINES = ("docker", "podman")
_ANSWER_SECONDS = 30.0
_PULL_SECONDS = 600.0
_CREATE_SECONDS = 600.0
_LOAD_SECONDS = 900.0


class CommandError(Exception):
    """A command failed; the text is the command and what it said."""


class Unusable(Exception):
    """There can be no cluster here; the text says why."""


def run(*command: str, timeout: float, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that succeeds.

    Raises:
        CommandError: it failed, or took too long.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(command)}: not done after {timeout:g} s") from None
    except subprocess.CalledProcessError as error:
        raise CommandError(f"{' '.join(command)}: {error.stderr or error.stdout}") from None
    return done.stdout


@dataclass(frozen=True)
class Tools:
    """What clusters are made with.

    Attributes:
        engine: `docker` or `podman`, one that answers.
        node_image: of kind's node; empty for the one that kind itself chooses.
    """

    engine: str
    node_image: str

    @classmethod
    def find(cls) -> "Tools":
        """Of this machine: `KIND_NODE_IMAGE` names the node's image.

        Raises:
            Unusable: a program, an engine or the image is missing.
        """
        for program in ("kind", "kubectl"):
            if shutil.which(program) is None:
                raise Unusable(f"{program} is not installed")
        try:
            engine = find_engine(None, _ENGINES)
        except EngineError as error:
            raise Unusable(str(error)) from None
        image = os.environ.get("KIND_NODE_IMAGE", "")
        if image and not engine.has(image):
            try:
                run(engine.program, "pull", image, timeout=_PULL_SECONDS)
            except CommandError as error:
                raise Unusable(f"KIND_NODE_IMAGE: {_last_line(error)}") from None
        return cls(engine.program, image)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that kind needs."""
        return {"KIND_EXPERIMENTAL_PROVIDER": "podman"} if self.engine == "podman" else {}


class KindCluster:
    """One cluster.

    Args:
        name: of the cluster.
        tools: what it is made with.
    """

    def __init__(self, name: str, tools: Tools) -> None:
        self.name = name
        self._tools = tools
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-kind-")
        self.kubeconfig = str(Path(self._folder.name) / "kubeconfig")

    def exists(self) -> bool:
        """Whether a cluster of this name runs already."""
        return self.name in self._kind("get", "clusters", timeout=_ANSWER_SECONDS).split()

    def create(self, config: Path) -> None:
        """Makes the cluster, and waits for its node.

        Raises:
            Unusable: the node's image is not to be had.
        """
        image = ["--image", self._tools.node_image] if self._tools.node_image else []
        try:
            self._kind(
                *("create", "cluster", "--config", str(config), "--wait", "180s"),
                *("--kubeconfig", self.kubeconfig, *image),
                timeout=_CREATE_SECONDS,
            )
        except CommandError as error:
            if "failed to pull image" in str(error) or "pull access denied" in str(error):
                raise Unusable(f"no node image: {_last_line(error)}") from None
            raise

    def attach(self) -> None:
        """Takes the credentials of a cluster that runs already."""
        self._kind("export", "kubeconfig", "--kubeconfig", self.kubeconfig, timeout=60)

    def delete(self) -> None:
        self._kind("delete", "cluster", timeout=180)

    def close(self) -> None:
        self._folder.cleanup()

    def load(self, image: str) -> None:
        """Puts an image of the engine into the cluster's node."""
        archive = str(Path(self._folder.name) / "image.tar")
        # `kind load docker-image` knows docker only; an archive does for both.
        form = ["--format", "docker-archive"] if self._tools.engine == "podman" else []
        run(self._tools.engine, "save", *form, "-o", archive, image, timeout=_LOAD_SECONDS)
        self._kind("load", "image-archive", archive, timeout=_LOAD_SECONDS)
        Path(archive).unlink()

    def tag(self, image: str, name: str) -> None:
        """Another name for an image of the engine."""
        run(self._tools.engine, "tag", image, name, timeout=_ANSWER_SECONDS)

    def kubectl(self, *arguments: str, timeout: float = 60) -> str:
        """Output of a command of kubectl in Tandem's namespace.

        Raises:
            CommandError: it failed.
        """
        return run(
            *("kubectl", "--kubeconfig", self.kubeconfig, "--namespace", "tandem", *arguments),
            timeout=timeout,
        )

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` says, parsed."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def _kind(self, *arguments: str, timeout: float) -> str:
        named = [] if arguments[:2] == ("get", "clusters") else ["--name", self.name]
        return run("kind", *arguments, *named, timeout=timeout, environment=self._tools.environment)


def _last_line(error: CommandError) -> str:
    return str(error).strip().splitlines()[-1]
