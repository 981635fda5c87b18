"""`tandem releases`: list, activate, roll back, collect."""

from dataclasses import asdict

import click

from deploy.local.state import State
from services.common.database import open_database
from services.common.garbage import KEEP, collect
from services.common.releases import ReleaseRecord, ReleaseRegistry
from tandem_cli.options import connect, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table


@click.group()
def releases() -> None:
    """The releases of a system."""


@releases.command("list")
@state_option
@port_option
@json_option
def list_releases(state: State, port: int | None, as_json: bool) -> None:
    """Lists all releases, newest first. The system may be down."""
    state.create()
    records = ReleaseRegistry(open_database(state.database_url)).list()
    if as_json:
        return print_json([_plain(record) for record in records])
    names = sorted({name for record in records for name in record.metrics})
    print_table(
        ["release", "state", "created", *names, "reason"],
        [
            [
                record.release_id,
                record.state,
                f"{record.created_at:%F %T}",
                *(record.metrics.get(name, "") for name in names),
                record.reason,
            ]
            for record in records
        ],
    )


@releases.command()
@click.argument("release_id")
@state_option
@port_option
@json_option
def activate(release_id: str, state: State, port: int | None, as_json: bool) -> None:
    """Publishes RELEASE_ID and switches to it."""
    with connect(state, port) as client:
        release = client.activate_release(release_id).release
    print_json(release) if as_json else print(f"active: {release.release_id}")


@releases.command()
@state_option
@port_option
@json_option
def rollback(state: State, port: int | None, as_json: bool) -> None:
    """Switches back to the release that was active before."""
    with connect(state, port) as client:
        release = client.rollback_release().release
    print_json(release) if as_json else print(f"active: {release.release_id}")


@releases.command()
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=KEEP,
    show_default=True,
    help="Newest releases that stay, besides the active one and the one before it.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@state_option
@port_option
@json_option
def gc(keep: int, dry_run: bool, state: State, port: int | None, as_json: bool) -> None:
    """Removes releases that nobody needs, and what killed builds left. The system may be down."""
    state.create()
    engine = open_database(state.database_url)
    found = collect(engine, state.releases, keep=keep, dry_run=dry_run)
    engine.dispose()
    if as_json:
        return print_json({"dry_run": dry_run, **asdict(found)})
    verb = "would remove" if dry_run else "removed"
    print(
        f"{verb} {len(found.releases)} releases, {len(found.folders)} folders, "
        f"{found.stored_lists} stored lists, {len(found.checkpoints)} checkpoints; "
        f"{len(found.kept)} releases stay"
    )


def _plain(record: ReleaseRecord) -> dict[str, object]:
    return {
        "release_id": record.release_id,
        "state": record.state.value,
        "created_at": record.created_at.isoformat(),
        "metrics": record.metrics,
        "reason": record.reason,
    }
