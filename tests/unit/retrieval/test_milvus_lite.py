"""How Milvus Lite is started: guards before, the server itself afterwards."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.milvus import MilvusError, hold_lock, server_command
from services.common.ports import free_ports
from tests.contract.milvus_process import ROOT, MilvusLite


@pytest.mark.parametrize("name", ["x" * 37, "a b.db", "a/../b c.db", "ä.db"])
def test_file_names_that_the_server_cannot_open_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MilvusError, match="file name must be"):
        server_command(tmp_path / name, "127.0.0.1:1", "ERROR")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MilvusError, match="no such folder"):
        server_command(tmp_path / "missing" / "a.db", "127.0.0.1:1", "ERROR")


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:", ":19530", "h:port"])
def test_an_address_without_host_or_port_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(MilvusError, match="HOST:PORT"):
        server_command(tmp_path / "a.db", address, "ERROR")


def test_other_library_folders_stay_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/mine")
    command = server_command(tmp_path / "a.db", "127.0.0.1:1", "ERROR")
    first, rest = command.environment["LD_LIBRARY_PATH"].split(":", 1)
    assert (Path(first) / "milvus").is_file()
    assert rest == "/opt/mine"


def test_the_lock_admits_one_holder(tmp_path: Path) -> None:
    hold_lock(tmp_path / "a.db")
    with pytest.raises(MilvusError, match="another process serves this file"):
        hold_lock(tmp_path / "a.db")
    hold_lock(tmp_path / "b.db")


def test_the_process_becomes_the_server_and_keeps_the_file_to_itself(tmp_path: Path) -> None:
    milvus = MilvusLite(tmp_path)
    milvus.start()
    try:
        assert Path(psutil.Process(milvus.pid).exe()).name == "milvus"
        second = subprocess.run(
            [
                *(sys.executable, "-m", "deploy.local.milvus"),
                *("--db", str(milvus.database), "--address", f"127.0.0.1:{free_ports(1)[0]}"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        milvus.kill()
    assert second.returncode == 1
    assert second.stderr == f"Error: {milvus.database}: another process serves this file\n"
    milvus.start()  # the lock went with the process
    milvus.kill()
