"""Whether serving reads and scores what training would, as a scheduler asks; `tandem skew` does the
same on one machine.

    python -m training.check_skew --database-url URL --release-root DIR [--requests N]
"""

import json
from pathlib import Path

import click

from services.common.database import open_database
from training.commands import database_option, root_option, run
from training.skew import SkewError
from training.skew_report import measure


@click.command()
@database_option
@root_option
@click.option("--requests", type=click.IntRange(1, 100_000), default=1_000, help="Newest ones.")
def main(database_url: str, release_root: Path, requests: int) -> None:
    """Prints one JSON document, and fails when a feature or a score differs."""
    engine = open_database(database_url)
    try:
        found, document = measure(engine, release_root, requests)
    finally:
        engine.dispose()
    print(json.dumps(document))
    if fault := found.fault():
        raise SkewError(fault)


if __name__ == "__main__":
    run(main)
