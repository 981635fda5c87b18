"""Names a process so that another one can tell for certain that it is gone."""

import os
import socket
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTED = 19  # place of the start, in ticks since boot, behind the command's name; see proc(5)


def this_process() -> str:
    """Names this process among those of all hosts, boots and containers.

    Empty where the system has no /proc to tell.
    """
    try:
        return f"{_here()} pid {os.getpid()} {_started(os.getpid())}"
    except OSError:
        return ""


def is_gone(process: str) -> bool:
    """Whether a process named by `this_process` has ended for certain.

    False wherever that cannot be known: of another host or container, or without a name.
    """
    here, _, itself = process.rpartition(" pid ")
    try:
        if not itself or here != _here():
            return False
        pid, started = itself.split()
        os.kill(int(pid), 0)  # /proc may hide what other users run
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is another user's, and there
    except OSError:
        return False
    try:
        return _started(int(pid)) != started
    except OSError:
        return False


def _here() -> str:
    """The host, its boot, and the processes that can be seen from here."""
    boot_id = _BOOT_ID.read_text().strip()
    return f"{socket.gethostname()} {boot_id} {os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[_STARTED]
