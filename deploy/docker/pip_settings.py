"""What this machine's pip knows of indexes, for a pip that runs while an image is built."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from typing import Self

_SETTINGS = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert")
_FILE = "file://"


@dataclass(frozen=True)
class PipSettings:
    """Where packages come from.

    Attributes:
        values: pip's settings by name, those that name sources only.
    """

    values: dict[str, str]

    @classmethod
    def of_this_machine(cls) -> Self:
        """As `pip config list` has them: files of pip's configuration, under its environment."""
        command = [sys.executable, "-m", "pip", "config", "list"]
        return cls.parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    @classmethod
    def parse(cls, listed: str) -> Self:
        """
        Args:
            listed: lines such as `global.find-links='/opt/wheels'` or `:env:.cert='/a/bundle'`.
        """
        of_files, of_environment = dict[str, str](), dict[str, str]()
        for line in listed.splitlines():
            where, _, text = line.partition("=")
            section, _, name = where.rpartition(".")
            if name in _SETTINGS and section in ("global", "install", ":env:"):
                into = of_environment if section == ":env:" else of_files
                into[name] = " ".join(str(ast.literal_eval(text)).split())
        return cls({**of_files, **of_environment})

    @property
    def text(self) -> str:
        """A pip.conf that says the same."""
        return "[global]\n" + "".join(f"{name} = {self.values[name]}\n" for name in self.values)

    @property
    def paths(self) -> list[str]:
        """Files and folders that the settings name, in alphabetical order.

        Of an index of files `.../simple` the folder above it, for its pages link to files there.
        """
        found = set()
        for name, value in self.values.items():
            for each in value.split():
                path = each.removeprefix(_FILE)
                if path.startswith("/"):
                    index = name.endswith("index-url")
                    found.add(path.rstrip("/").rpartition("/")[0] if index else path)
        return sorted(found)

    @property
    def variables(self) -> dict[str, str]:
        """The indexes that have an address, as environment variables."""
        return {
            f"PIP_{name.upper().replace('-', '_')}": value
            for name, value in self.values.items()
            if name.endswith("index-url") and _FILE not in value
        }
