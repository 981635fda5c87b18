"""`tandem evaluate` and `tandem bench`: quality and speed, each in a state of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tandem_cli.options import data_option, json_option
from tandem_cli.output import print_json, print_table


@click.command()
@data_option(required=True)
@click.option("--protocol", default="leave-last-out", show_default=True, help="How to cut the log.")
@click.option("--models", help="Names of models to compare, with commas between; else all.")
@click.option("--served", is_flag=True, help="Also start a system on the known events, and ask it.")
@click.option(
    "--questions",
    type=click.IntRange(1),
    default=2_000,
    show_default=True,
    help="Most questions that are asked with --served.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="HTML file to write tables and plots to.",
)
@json_option
def evaluate(
    data: Path,
    protocol: str,
    models: str | None,
    served: bool,
    questions: int,
    report: Path | None,
    as_json: bool,
) -> None:
    """Compares models on a log, over the full catalogue."""
    from training.evaluate import evaluate as run
    from training.readers import read
    from training.report import lift_tables, page, table

    if report and not report.parent.is_dir():  # rather now than after the measurement
        raise click.BadParameter(f"{report.parent} is not a folder", param_hint="--report")
    names = models.split(",") if models else None
    log = read(data)
    found = run(log, protocol, names)
    if served:
        from bench.served import run as run_served

        found["served"] = run_served(log, protocol, questions)
    if report:
        report.write_text(page(found), encoding="utf-8")
    if as_json:
        return print_json(found)
    print_table(*table(found), f"{found['protocol']}, {found['users']} users")
    if served:
        print_table(*_served(found["served"]))
        if "without_session" in found["served"]:
            print_table(*_sessions(found["served"]))
    for caption, (columns, rows) in lift_tables(found).items():
        print_table(columns, rows, caption)


def _served(figures: Mapping[str, Any]) -> tuple[list[str], list[list[Any]], str]:
    """Columns, row and caption of what only a running system has."""
    names = ["retrieval_recall@100", "retrieval_recall@500", "ndcg@10", "ndcg_offline", "failed"]
    levels = ", ".join(f"{count} {level}" for level, count in figures["levels"].items())
    asked = f"{figures['questions']} questions{', drawn from more' if figures['sampled'] else ''}"
    return names, [[figures[name] for name in names]], f"served: {asked}; {levels}"


def _sessions(figures: Mapping[str, Any]) -> tuple[list[str], list[list[Any]], str]:
    """Columns, rows and caption of what session features are worth."""
    rows = []
    for name, each in (("with", figures), ("without", figures["without_session"])):
        unseen = each["cohorts"]["user"]["unseen in training"]
        means = [each["per_user"]["hr@10"], each["per_user"]["ndcg@10"]]
        row = [each["hr@10"], each["ndcg@10"], *means, unseen["hr@10"], unseen["ndcg@10"]]
        rows.append([f"{name} session", *("–" if cell is None else cell for cell in row)])
    columns = ["served", "hr@10", "ndcg@10", "hr@10 per user", "ndcg@10 per user"]
    columns += ["hr@10, new users", "ndcg@10, new users"]
    return columns, rows, "what real time is worth"


@click.command()
@data_option(required=False)
@click.option("--requests", type=click.IntRange(10, 100_000), default=500, show_default=True)
@json_option
def bench(data: Path | None, requests: int, as_json: bool) -> None:
    """Measures Recommend against a single-process server with the same model."""
    from bench.recommend import run

    found = run(data, requests)
    if as_json:
        return print_json(found)
    print_table(
        ["server", "p50 ms", "p99 ms", "requests/s, 16 clients"],
        [
            [name, found[name]["p50_ms"], found[name]["p99_ms"], found[name]["rps_16"]]
            for name in ("recommend", "floor")
        ],
        f"ratio of p50 {found['ratio_p50']:.2f}, of requests/s {found['ratio_rps']:.2f}",
    )
    print_table(
        ["stage", "p50 ms", "p99 ms"],
        [[name, each["p50_ms"], each["p99_ms"]] for name, each in found["stages"].items()],
    )
    print_table(["process", "RSS MiB"], [list(each) for each in found["rss_mb"].items()])
