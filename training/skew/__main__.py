"""The comparison as a scheduler starts it.

    python -m training.skew --database-url URL --release-root DIR [--requests N]

`tandem skew` runs the same on one machine.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

from training.command import errors_in_one_line
from training.skew.findings import SCORE_TOLERANCE
from training.skew.job import REQUESTS, check


def main() -> None:
    """Prints one JSON document; where serving differs from training, one line on stderr, too."""
    parser = argparse.ArgumentParser(
        prog="python -m training.skew",
        description="Compares logged requests with the event log and the release. Ends with 1 "
        f"where a feature differs at all, or a score by more than {SCORE_TOLERANCE:g}.",
    )
    parser.add_argument("--database-url", required=True, help="of all logs")
    parser.add_argument("--release-root", required=True, type=Path, help="folder of the releases")
    parser.add_argument(
        "--requests", type=int, default=REQUESTS, help="newest logged requests that are looked at"
    )
    arguments = parser.parse_args()
    if arguments.requests < 1:
        parser.error("argument --requests: must be at least 1")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    with errors_in_one_line():
        found, document = check(arguments.database_url, arguments.release_root, arguments.requests)
        print(json.dumps(document))
        found.require()


if __name__ == "__main__":
    main()
