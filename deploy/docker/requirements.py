"""Prints what pyproject.toml says an image needs: the dependencies, less those of one machine."""

import tomllib
from pathlib import Path

ONE_MACHINE = {"milvus-lite", "supervisor"}
"""Used by `tandem up` alone."""


def main() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    print("\n".join(name for name in project["dependencies"] if name not in ONE_MACHINE))


if __name__ == "__main__":
    main()
