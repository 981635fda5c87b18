"""The program that builds images: docker, podman or buildah."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.docker.pip_settings import PipSettings

PROGRAMS = ("docker", "podman", "buildah")
_ANSWER_SECONDS = 30


class EngineError(Exception):
    """Something cannot be built; the text says why."""


@dataclass(frozen=True)
class Engine:
    """A program that answers."""

    program: str

    def build(
        self, dockerfile: Path, context: Path, tag: str, base: str, pip: PipSettings, conf: Path
    ) -> None:
        """Builds an image and tags it, with `localhost/` before the name, too: podman and buildah
        call it so, and a cluster that has it by that name looks for it in no registry.

        Args:
            base: the value of `BASE_IMAGE`.
            pip, conf: where packages come from, and the file that holds it as a pip.conf.

        Raises:
            EngineError: the build failed; its output went to ours.
        """
        command = [self.program, "bud" if self.program == "buildah" else "build"]
        command += ["--file", str(dockerfile), "--tag", tag, "--tag", f"localhost/{tag}"]
        command += ["--build-arg", f"BASE_IMAGE={base}"]
        if self.program == "docker":
            if pip.paths:
                print(f"docker does not see {', '.join(pip.paths)}; podman and buildah do")
            for name, value in pip.variables.items():
                command += ["--build-arg", f"{name}={value}"]
        else:
            # chroot needs no container runtime, and works inside a container, too.
            command += ["--isolation", "chroot", "--layers"]
            mounts = {path: path for path in pip.paths}
            if pip.values:
                mounts[str(conf)] = "/etc/pip.conf"
            for outside, inside in mounts.items():
                command += ["--volume", f"{outside}:{inside}:ro"]
        if subprocess.run([*command, str(context)], check=False).returncode:
            raise EngineError(f"{tag} could not be built")

    def has(self, image: str) -> bool:
        """Whether the image is on this machine."""
        return bool(self._output("images", "--quiet", image))

    def pull(self, image: str) -> bool:
        """Whether the image could be had from a registry."""
        command = [self.program, "pull", "--quiet", image]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def import_root(self, archive: Path, image: str) -> None:
        """Makes an image of one layer from a tar of a root file system."""
        if self.program != "buildah":
            self._output("import", str(archive), image)
            return
        container = self._output("from", "scratch")
        self._output("add", container, str(archive), "/")
        self._output("commit", "--rm", container, image)

    def size(self, image: str) -> str:
        """For people, with a unit."""
        return self._output("images", "--format", "{{.Size}}", image).splitlines()[0]

    def _output(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise EngineError(f"{self.program} {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()


def find_engine(named: str | None, programs: Sequence[str] = PROGRAMS) -> Engine:
    """The named program, else the first that is there and answers: a client may have no engine.

    Raises:
        EngineError: there is none.
    """
    for program in [named] if named else programs:
        if shutil.which(program) and _answers(program):
            return Engine(program)
    raise EngineError(f"{named or ' or '.join(programs)} does not answer: install podman")


def _answers(program: str) -> bool:
    command = [program, "info"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ANSWER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
