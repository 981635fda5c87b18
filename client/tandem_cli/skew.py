"""`tandem skew`: whether serving reads and scores what training would."""

from pathlib import Path
from typing import Any

import click
from sqlalchemy import make_url

from deploy.local.state import State, StateError
from tandem_cli.options import json_option, state_option
from tandem_cli.output import print_json, print_table


@click.command()
@click.option(
    "--requests",
    type=click.IntRange(1, 100_000),
    default=1_000,
    show_default=True,
    help="The newest logged requests that are looked at.",
)
@state_option
@json_option
def skew(requests: int, state: State, as_json: bool) -> None:
    """Compares what logged requests were answered from with the event log and the release.

    The system may be up or down. Exits with 1 when a feature differs, or a score by more than 1e-5;
    that what is served has moved away from what was learnt is only said. What came out is kept for
    the orchestrator's metrics.
    """
    from training.skew.job import check

    path = make_url(state.database_url).database
    if path is None or not Path(path).exists():
        raise StateError(f"{state.path}: holds no logs to compare")
    found, document = check(state.database_url, state.releases, requests)
    if as_json:
        print_json(document)
    else:
        _print(document)
    found.require()


def _print(document: dict[str, Any]) -> None:
    skipped = ", ".join(f"{count} {reason}" for reason, count in document["skipped"].items())
    print_table(
        ["feature", "compared", "differing", "largest", "tolerance"],
        [
            [each[name] for name in ("name", "compared", "differing", "largest", "tolerance")]
            for each in document["features"]
        ],
        f"{document['requests']} requests; left out: {skipped or 'none'}",
    )
    columns = ["release_id", "requests", "scores", "skipped", "largest"]
    print_table(
        columns,
        [[each[name] for name in columns] for each in document["scores"]],
        f"scores, again; tolerance {document['score_tolerance']:g} of a score above 1",
    )
    if document["drift"]:
        print_table(
            ["release", "feature", "PSI", "training", "serving", "drifted"],
            [list(each.values()) for each in document["drift"]],
            "PSI above 0.25 of at least 100 histories on both sides has drifted",
        )
