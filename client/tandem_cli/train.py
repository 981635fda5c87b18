"""`tandem train` and `tandem refresh`: from a log to a release, and into service."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from deploy.local.state import State, StateError
from deploy.local.system import System
from models.head import OBJECTIVES
from models.release import Release
from tandem_cli.options import connect, data_option, json_option, port_option, state_option
from tandem_cli.output import print_json, print_table
from training.commands import config_option, from_scratch_option, no_activate_option
from training.config import STORED_METHODS, TrainingConfig, read_config
from training.job import train_from_log
from training.plots import RELEASE_PLOTS
from training.readers import read
from training.refresh import refresh as refresh_release


@click.command()
@data_option(required=True)
@click.option(
    "--also",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A further file of events or ratings; may be given more than once.",
)
@config_option
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    help="What scores predict: the probability of a click (default), or a utility of 0 to 15.",
)
@click.option(
    "--batch-method",
    type=click.Choice(STORED_METHODS),
    help="What makes the batch recommendations: the final score (default), the towers alone, or a "
    "method that `evaluate` compares with.",
)
@no_activate_option
@state_option
@port_option
@json_option
def train(
    data: Path,
    also: tuple[Path, ...],
    config_file: Path | None,
    objective: str | None,
    batch_method: str | None,
    no_activate: bool,
    state: State,
    port: int | None,
    as_json: bool,
) -> None:
    """Learns from a log and all events recorded live, builds a release, and activates it."""
    config = read_config(config_file) if config_file else TrainingConfig()
    if objective:
        config = config.with_objective(objective)
    if batch_method:
        config = config.with_stored_method(batch_method)
    log = read(data, also)  # before the state is touched
    state.create()
    release = train_from_log(
        log,
        database_url=state.database_url,
        release_root=state.releases,
        activate_at_start=not no_activate,
        config=config,
    )
    activated = not no_activate and System(state).is_up()
    if activated:
        with connect(state, port) as client:
            client.activate_release(release.release_id)
    _show(release, activated, as_json)


@click.command()
@config_option
@no_activate_option
@from_scratch_option
@state_option
@port_option
@json_option
def refresh(
    config_file: Path | None,
    no_activate: bool,
    from_scratch: bool,
    state: State,
    port: int | None,
    as_json: bool,
) -> None:
    """Learns again from all events in the database, activates what comes out, and collects
    releases that nobody needs any more. Needs no files."""
    if not (state.path / "tandem.db").exists():
        raise StateError(f"{state.path} holds no release to refresh: train one first")

    def activate(release_id: str) -> bool:
        if not System(state).is_up():
            return False
        with connect(state, port) as client:
            client.activate_release(release_id)
        return True

    done = refresh_release(
        state.database_url,
        state.releases,
        activate=None if no_activate else activate,
        config=read_config(config_file) if config_file else None,
        from_scratch=from_scratch,
    )
    began = done.release.manifest.config["start"]
    _show(done.release, done.activated, as_json, {"start": began, "garbage": asdict(done.garbage)})
    if not as_json:
        click.echo(f"towers: {began}")


def _show(
    release: Release, activated: bool, as_json: bool, more: Mapping[str, object] | None = None
) -> None:
    manifest = release.manifest
    plots = [str(release.path / name) for name in RELEASE_PLOTS]
    if as_json:
        return print_json(
            {
                "release_id": manifest.release_id,
                "activated": activated,
                "created_at": manifest.created_at,
                "metrics": manifest.metrics,
                "plots": plots,
                **(more or {}),
            }
        )
    print_table(
        ["metric", "value"],
        [[name, value] for name, value in manifest.metrics.items()],
        f"release {manifest.release_id}: {manifest.n_events} events, {manifest.n_users} users, "
        f"{manifest.n_items} items",
    )
    for path in plots:
        click.echo(path)
