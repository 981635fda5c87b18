"""The image that others are built on."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.docker.engine import Engine, EngineError

OFFICIAL = "python:3.11-slim"
OWN = f"localhost/{OFFICIAL}"
SUITE = "bookworm"
"""The Debian whose Python is 3.11."""

_PACKAGES = "python3-venv,python-is-python3,ca-certificates"
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/i18n/*", "/usr/share/locale/*", "/usr/share/man/*")


def base_image(engine: Engine) -> str:
    """The name of a base image that is on this machine now.

    One that was made here before is used again; else the official one; where that cannot be
    pulled, one is made of Debian's packages with mmdebstrap.

    Raises:
        EngineError: there is none, and none can be made.
    """
    for image in (OWN, OFFICIAL):
        if engine.has(image):
            return image
    if engine.pull(OFFICIAL):
        return OFFICIAL
    if shutil.which("mmdebstrap") is None:
        raise EngineError(f"{OFFICIAL} cannot be pulled: name another with BASE_IMAGE=...")
    print(f"{OFFICIAL} cannot be pulled: making one of Debian's packages", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "root.tar"
        _debootstrap(archive)
        engine.import_root(archive, OWN)
    return OWN


def _debootstrap(archive: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    if subprocess.run([*command, SUITE, str(archive)], check=False).returncode:
        raise EngineError(f"mmdebstrap cannot make {OWN}")
