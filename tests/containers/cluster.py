"""Containers on a network of their own, as Kubernetes would run them; gone afterwards."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import psutil

from deploy.local.health import is_listening, is_serving
from services.common.ports import free_ports
from tests.containers.podman import podman
from tests.containers.pods import Mount, Pod, Volume
from tests.e2e.conftest import until

API = "orchestrator"
"""The service whose gRPC port is open to this machine."""

_BEFORE_SECONDS = 120


class Cluster:
    """Starts pods, finds out how they are, and kills them. Removes all it made on exit.

    Args:
        files: content of volumes of files: by volume, by file name.
    """

    def __init__(self, files: Mapping[str, Mapping[str, str]]) -> None:
        self._name = f"tandem-{uuid4().hex[:8]}"
        self._pods: dict[str, Pod] = {}
        self._published: dict[str, int] = {}
        self._volumes: set[str] = set()
        self._files = Path(tempfile.mkdtemp(prefix=f"{self._name}-", dir="/tmp"))
        for volume, content in files.items():
            (self._files / volume).mkdir()
            for name, text in content.items():
                (self._files / volume / name).write_text(text)
        self._files.chmod(0o755)

    def __enter__(self) -> Self:
        podman("network", "create", self._name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._pods:
            podman("rm", "--force", "--time", "0", "--ignore", self._container(name))
        for volume in self._volumes:
            podman("volume", "rm", "--force", volume)
        podman("network", "rm", "--force", self._name)
        shutil.rmtree(self._files)

    def start(self, pod: Pod) -> None:
        """Starts a container under the pod's constraints, after what runs before it; does not wait
        until it is ready."""
        for job in pod.before:
            self.start(job)
            self.finish(job, _BEFORE_SECONDS)
        self._pods[pod.name] = pod
        command = ["run", "--detach", "--name", self._container(pod.name)]
        command += ["--network", self._name, "--hostname", pod.name]
        for name in pod.names:
            command += ["--network-alias", name]
        command += ["--user", f"{pod.user}:{pod.user}", "--read-only", "--read-only-tmpfs=false"]
        command += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        command += ["--cpus", str(min(pod.cpus, os.cpu_count() or 1)), "--memory", str(pod.memory)]
        command += ["--restart", "no" if pod.ends else "always"]
        for key, value in pod.environment.items():
            command += ["--env", f"{key}={value}"]
        for mount in pod.mounts:
            command += self._mount(mount)
        if API in pod.names:
            (self._published[pod.name],) = free_ports(1)
            command += ["--publish", f"127.0.0.1:{self._published[pod.name]}:{pod.ports['grpc']}"]
        podman(*command, pod.image, *pod.command)

    def finish(self, pod: Pod, seconds: float) -> str:
        """Waits for a job; what it wrote.

        Raises:
            RuntimeError: it failed.
        """
        status = podman("wait", self._container(pod.name), timeout=seconds)
        log = self.log(pod.name)
        if status != "0":
            raise RuntimeError(f"{pod.name} ended with {status}: {log}")
        return log

    def ready(self, name: str) -> bool:
        """As the readiness probe would have it: by gRPC's health service, or by a connection."""
        pod, address = self._pods[name], self.address(name)
        if not address:
            return False
        if pod.health_port is not None:
            return is_serving(f"{address}:{pod.health_port}")
        return all(is_listening(f"{address}:{port}", 1) for port in pod.ports.values())

    def wait(self, names: Iterable[str], seconds: float) -> None:
        """Returns when all pods are ready.

        Raises:
            RuntimeError: one is not in time; the text ends with its log.
        """
        ends = time.monotonic() + seconds
        for name in names:
            if not until(partial(self.ready, name), max(1, ends - time.monotonic())):
                raise RuntimeError(f"{name} is not ready: {self.log(name)[-3000:]}")

    @property
    def addresses(self) -> list[str]:
        """Where this machine reaches the API: one address a replica."""
        return [f"127.0.0.1:{port}" for port in self._published.values()]

    def address(self, name: str) -> str:
        """In the network; empty while it does not run."""
        networks = json.loads(self._inspect(name, "{{json .NetworkSettings.Networks}}") or "{}")
        return str(networks.get(self._name, {}).get("IPAddress", ""))

    def kill(self, name: str) -> None:
        """SIGKILL to the container's first process, and so to all of it, as for want of memory.

        Not by podman, which would take it for the wish that the container be down.
        """
        os.kill(self._pid(name), signal.SIGKILL)

    def starts(self, name: str) -> int:
        """How often it was started again."""
        return int(self._inspect(name, "{{.RestartCount}}"))

    def memory_mb(self, name: str) -> tuple[float, float]:
        """Of all its processes, in MiB: resident, and with shared pages divided among sharers."""
        resident = shared = 0.0
        first = psutil.Process(self._pid(name))
        for process in [first, *first.children(recursive=True)]:
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                resident, shared = resident + memory.rss, shared + memory.pss
        return resident / 2**20, shared / 2**20

    def log(self, name: str) -> str:
        return podman("logs", self._container(name))

    def run(self, name: str, *command: str) -> str:
        """Runs a program in the container; what it printed."""
        return podman("exec", self._container(name), *command)

    def file(self, volume: str, name: str) -> Path:
        """A file of a volume of files; what is written there is seen in the containers."""
        return self._files / volume / name

    def _mount(self, mount: Mount) -> tuple[str, str]:
        options = "ro" if mount.read_only else "rw"
        match mount.volume:
            case Volume.MEMORY:
                return "--tmpfs", f"{mount.path}:{options},mode=1777,size={mount.size}"
            case Volume.FILES:
                return "--volume", f"{self._files / mount.name}:{mount.path}:{options}"
            case Volume.DISK:
                self._volumes.add(volume := f"{self._name}-{mount.name}")
                return "--volume", f"{volume}:{mount.path}:{options},U"  # U: the pod's user owns it

    def _container(self, name: str) -> str:
        return f"{self._name}-{name}"

    def _pid(self, name: str) -> int:
        return int(self._inspect(name, "{{.State.Pid}}"))

    def _inspect(self, name: str, template: str) -> str:
        return podman("inspect", "--format", template, self._container(name))
