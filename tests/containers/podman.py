"""The program podman, with settings of our own."""

import os
import subprocess
from pathlib import Path

CONF = Path(__file__).with_name("containers.conf")


def podman(*arguments: str, timeout: float = 60) -> str:
    """Runs a command of podman's; what it printed, a container's errors included.

    Raises:
        RuntimeError: it failed; the text says how.
    """
    done = subprocess.run(
        ["podman", *arguments],
        env={"CONTAINERS_CONF": str(CONF), **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if arguments[0] == "logs" else subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"podman {' '.join(arguments[:3])}: {(done.stderr or done.stdout).strip()}"
        )
    return done.stdout.strip()
