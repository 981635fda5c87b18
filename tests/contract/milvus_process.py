"""Milvus as a process of the test's own: Milvus Lite always, a real server where there is one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.ports import free_ports

ROOT = Path(__file__).parents[2]


class MilvusLite:
    """Milvus Lite on a port and a file of its own; can be killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "vectors.db"
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.uri = f"http://{self.address}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "deploy.local.milvus"),
                *("--db", str(self.database), "--address", self.address),
            ],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.address)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal is not delivered at once; a search that is faster would still be answered.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def wait_for_port(address: str, seconds: float = 60) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[MilvusLite]:
    """Running; ended afterwards."""
    milvus = MilvusLite(tmp_path)
    milvus.start()
    yield milvus
    milvus.kill()
