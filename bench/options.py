"""Options that several benchmarks have."""

from pathlib import Path

import click

data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A MovieLens directory, or a general log.",
)
