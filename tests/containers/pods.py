"""What is to run: a container each, as a pod of ours has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self


class Volume(Enum):
    """Where the content of a mount comes from."""

    DISK = "disk"  # empty at first, and shared by all that name it
    MEMORY = "memory"  # the same, but of one container, and gone with it
    FILES = "files"  # given files


@dataclass(frozen=True)
class Mount:
    """A folder of a container.

    Attributes:
        name: of the volume.
        path: where it is in the container.
        size: bytes that a volume in memory may hold.
    """

    volume: Volume
    name: str
    path: str
    read_only: bool = False
    size: int = 0


@dataclass(frozen=True)
class Pod:
    """One container, and what runs before it.

    Attributes:
        name: unique among all.
        names: under which others find it.
        user: user and group id.
        ports: what it says that it listens on, by name.
        health_port: where gRPC's health service says whether it is ready; None where an open
            port is all.
        cpus, memory: its limits, in cores and bytes.
        ends: whether it is a job, which ends by itself; all else starts again when it ends.
        before: jobs, which end before it starts.
    """

    name: str
    names: tuple[str, ...]
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    ports: Mapping[str, int]
    health_port: int | None
    user: int
    cpus: float
    memory: int
    ends: bool = False
    before: tuple[Self, ...] = ()
