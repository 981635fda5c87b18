"""The comparison as a scheduler starts it.

    python -m training.skew --database-url URL --release-root DIR [--requests N]

`tandem skew` runs the same on one machine.
"""

import json
from pathlib import Path

import click

from training.commands import database_option, root_option, run
from training.skew.job import REQUESTS, check


@click.command()
@database_option
@root_option
@click.option(
    "--requests",
    type=click.IntRange(1, 100_000),
    default=REQUESTS,
    show_default=True,
    help="The newest logged requests that are looked at.",
)
def main(database_url: str, release_root: Path, requests: int) -> None:
    """Prints one JSON document, and fails where serving differs from training."""
    found, document = check(database_url, release_root, requests)
    print(json.dumps(document))
    found.require()


if __name__ == "__main__":
    run(main)
