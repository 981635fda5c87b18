"""Gets a log to begin with: MovieLens from its publisher, else a synthetic world.

python -m training.dataset --into .data      # prints the folder
"""

import hashlib
import io
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import click

from training.synthetic import write_world

URL = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
NAME = "ml-latest-small"
SHA256 = {
    "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    "tags.csv": "92a9f8bb7916dceef6151209845788c3643f794dfa79d1feaec7121b5960399d",
}
_TIMEOUT_SECONDS = 20


class DownloadError(Exception):
    """The data could not be had, or is not what it should be."""


def download(into: Path) -> Path:
    """Downloads MovieLens (ml-latest-small), checks it, and returns its folder.

    Raises:
        DownloadError: no network, or a file differs from the one this project was tested with.
    """
    try:
        with urllib.request.urlopen(URL, timeout=_TIMEOUT_SECONDS) as response:
            archive = zipfile.ZipFile(io.BytesIO(response.read()))
        files = {name: archive.read(f"{NAME}/{name}") for name in (*SHA256, "README.txt")}
    except (urllib.error.URLError, OSError, zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"{URL}: {error}") from None
    for name, expected in SHA256.items():
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise DownloadError(f"{URL}: {name} is not the file this project was tested with")
    folder = into / NAME
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def get(into: Path) -> Path:
    """A folder with a log: one that is there already, a download, or a synthetic world."""
    for folder, sign in ((into / NAME, "ratings.csv"), (into / "synthetic", "events.csv")):
        if (folder / sign).is_file():
            return folder
    try:
        return download(into)
    except DownloadError as error:
        _say(f"MovieLens could not be downloaded ({error}).")
        _say("*** Using a small SYNTHETIC world instead: its users and items are made up. ***")
        return synthetic(into)


def synthetic(into: Path) -> Path:
    """The folder of a small synthetic world, always the same."""
    return write_world(into / "synthetic", seed=1).path


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@click.command()
@click.option("--into", type=click.Path(path_type=Path), required=True, help="Its parent folder.")
@click.option("--synthetic", "made_up", is_flag=True, help="The synthetic world, in any case.")
def main(into: Path, made_up: bool) -> None:
    """Prints the folder of a log to begin with."""
    print((synthetic(into) if made_up else get(into)).resolve())


if __name__ == "__main__":
    main()
