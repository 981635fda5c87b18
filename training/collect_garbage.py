"""Collects garbage as a scheduler starts it; `tandem releases gc` does the same on one machine.

python -m training.collect_garbage --database-url URL --release-root DIR
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from services.common.database import open_database
from services.common.garbage import KEEP, collect
from training.commands import database_option, root_option, run


@click.command()
@database_option
@root_option
@click.option("--keep", type=click.IntRange(min=0), default=KEEP, help="Newest releases that stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def main(database_url: str, release_root: Path, keep: int, dry_run: bool) -> None:
    """Removes releases that nobody needs, and what killed builds left; prints one JSON document."""
    engine = open_database(database_url)
    try:
        found = collect(engine, release_root, keep=keep, dry_run=dry_run)
    finally:
        engine.dispose()
    print(json.dumps({"dry_run": dry_run, **asdict(found)}))


if __name__ == "__main__":
    run(main)
