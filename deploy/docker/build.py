"""Builds the images with docker, podman or buildah: `make image`.

    python3.11 -m deploy.docker.build [IMAGE ...]      # all of them without names

What pip knows on this machine of package sources is mounted while an image is built, and is in no
image. Variables:

    ENGINE        the program to build with; without it, the first that answers
    BASE_IMAGE    what images are built on; see base_image.py
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.docker.base_image import base_image
from deploy.docker.engine import EngineError, find_engine
from deploy.docker.pip_settings import PipSettings

ROOT = Path(__file__).parents[2]
TAG = "dev"
IMAGES = {
    "tandem": "Dockerfile",
    "tandem-stores": "stores.Dockerfile",
    "tandem-milvus": "milvus.Dockerfile",
}
"""Names, and the files in this folder that make them."""

WITHOUT_PIP = {"tandem-stores"}


def main(names: Sequence[str]) -> None:
    if unknown := set(names) - set(IMAGES):
        sys.exit(f"image: no image {', '.join(sorted(unknown))}; there are {', '.join(IMAGES)}")
    try:
        build(names or list(IMAGES))
    except EngineError as error:
        sys.exit(f"image: {error}")


def build(names: Sequence[str]) -> None:
    """Builds images from the working tree, tags them `NAME:dev`, and prints size and seconds.

    Raises:
        EngineError: there is nothing to build with or on, or a build failed.
    """
    engine = find_engine(os.environ.get("ENGINE"))
    base = os.environ.get("BASE_IMAGE") or base_image(engine)
    pip = PipSettings.of_this_machine()
    built = []
    with tempfile.NamedTemporaryFile("w", prefix="pip-", suffix=".conf") as conf:
        conf.write(pip.text)
        conf.flush()
        for name in names:
            started, tag = time.monotonic(), f"{name}:{TAG}"
            dockerfile = Path(__file__).with_name(IMAGES[name])
            sources = PipSettings({}) if name in WITHOUT_PIP else pip
            engine.build(dockerfile, ROOT, tag, base, sources, Path(conf.name))
            built.append(f"{tag}  {engine.size(tag)}  {time.monotonic() - started:.0f} s")
    print("\n".join(built))


if __name__ == "__main__":
    main(sys.argv[1:])
