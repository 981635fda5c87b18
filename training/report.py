"""What `evaluate` found, for people: a table, and a page that needs neither server nor network."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training.report_plots import plots

Cell = str | float
Document = Mapping[str, Any]

_METRICS = ("hr@10", "ndcg@10", "recall@100", "recall@500", "coverage@10")
_NOTHING = "–"

_PROTOCOLS = {
    "leave-last-out": "Each user's last event is the test, the one before is validation.",
    "temporal": "What users did after the 90 % quantile of time is predicted from what they did "
    "before it: one question a user, as many targets as new items followed.",
    "stream": "Each event after the 90 % quantile of time is predicted from all earlier events of "
    "its user. What models learnt stays as it was at the cut; users without any event count.",
}

_CSS = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:62rem;
margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}
th{border-bottom:2px solid #888} .scroll{overflow-x:auto}
figure{margin:2rem 0} figcaption{font-weight:600} svg{max-width:100%;height:auto}
code{font-size:13px;overflow-wrap:anywhere} td.text{text-align:left}
"""


def table(document: Document) -> tuple[list[str], list[list[Cell]]]:
    """Columns and rows, one a model; "–" where there is nothing to say."""
    reference, level = document["reference"], document["bootstrap"]["level"]
    columns = ["model", "hr@10", "ndcg@10", f"{100 * level:g} % of ndcg@10", *_METRICS[2:]]
    if reference:
        columns += [f"ndcg@10 less {reference}", "p (Holm)"]
    rows = []
    for name, figures in _models(document).items():
        interval = figures.get("ci", {}).get("ndcg@10")
        row: list[Cell] = [name, *(figures.get(metric, _NOTHING) for metric in _METRICS)]
        row.insert(3, f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else _NOTHING)
        if reference:
            paired = document["paired"].get(name, {}).get("ndcg@10")
            row += [f"{paired['value']:+.4f}", _p(paired["p_holm"])] if paired else [_NOTHING] * 2
        rows.append(row)
    return columns, rows


def lift_tables(document: Document) -> dict[str, tuple[list[str], list[list[Cell]]]]:
    """Columns and rows by caption: what each part of the final score, and each candidate source,
    reaches alone and adds to the others. Nothing where the final score was not measured."""
    if "parts" not in document:
        return {}
    scope = f"on {document['lift_questions']} questions"
    return {
        f"Parts of the final score, {scope}": _lift(
            "part", document["parts"], ("ndcg@10", "recall@100", "recall@500"), ("weight",)
        ),
        f"Candidate sources, {scope}": _lift(
            "source", document["sources"], ("recall@100", "recall@500")
        ),
    }


def page(document: Document) -> str:
    """One HTML document, all within; every text of the log or a model is escaped."""
    title = f"Evaluation: {document['protocol']}"
    drawn = "".join(
        f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>\n"
        for caption, svg in plots(document).items()
    )
    sections = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_summary(document))}</p>",
        _table(*table(document)),
        drawn,
        "<h2>Beyond accuracy</h2>",
        _table(*_beyond(document)),
        *_taken_apart(document),
        "<h2>Settings</h2>",
        "<p>Chosen by nDCG@10 on validation, which lies before the test, then fitted again on "
        "all that the test may know.</p>",
        _settings(document),
        "<h2>How it was measured</h2>",
        *(f"<p>{escape(text)}</p>" for text in _method(document)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _models(document: Document) -> dict[str, Mapping[str, Any]]:
    """Also what was served, when it was measured."""
    served = document.get("served")
    return {**document["models"], **({"served": served} if served else {})}


def _summary(document: Document) -> str:
    log = document["log"]
    return (
        f"{document['targets']} events of {document['users']} users to predict, out of a catalogue "
        f"of {log['items']} items, after learning from {log['train_events']} events. "
        + _PROTOCOLS[document["protocol"]]
    )


def _beyond(document: Document) -> tuple[list[str], list[list[Cell]]]:
    columns = ["model", "HR@10 per user", "nDCG@10 per user", "novelty, bits", "distance in list"]
    columns += ["seconds to choose", "to fit", "to score"]
    rows: list[list[Cell]] = []
    for name, figures in document["models"].items():
        means, seconds = figures["per_user"], figures["seconds"]
        row = [means["hr@10"], means["ndcg@10"], figures["novelty"]]
        row.append(figures.get("ild@10", _NOTHING))
        rows.append([name, *row, *(f"{seconds[part]:.1f}" for part in ("choose", "fit", "score"))])
    return columns, rows


def _lift(
    kind: str, figures: Mapping[str, Any], metrics: Sequence[str], more: Sequence[str] = ()
) -> tuple[list[str], list[list[Cell]]]:
    columns = [kind, *more, *(f"{metric} alone" for metric in metrics)]
    columns += [f"adds to {metric}" for metric in metrics]
    everything = figures["all"]
    rows: list[list[Cell]] = []
    for name, each in figures.items():
        if name != "all":
            row: list[Cell] = [name, *(each[key] for key in more)]
            row += [each["alone"][metric] for metric in metrics]
            added = (everything[metric] - each["without"][metric] for metric in metrics)
            rows.append([*row, *(f"{value:+.4f}" for value in added)])
    together = [everything[metric] for metric in metrics]
    rows.append(["all", *(_NOTHING for _ in more), *together, *(_NOTHING for _ in metrics)])
    return columns, rows


def _taken_apart(document: Document) -> list[str]:
    tables = lift_tables(document)
    if not tables:
        return []
    return [
        "<h2>What each part and each source adds</h2>",
        "<p>What something adds is the figure of all less that of all others, whose weights stay "
        "as they are. Lists are not made diverse here.</p>",
        *(f"<p>{escape(caption)}</p>{_table(*each)}" for caption, each in tables.items()),
    ]


def _settings(document: Document) -> str:
    chosen = "".join(
        f'<tr><td>{escape(name)}</td><td class="text"><code>{escape(setting)}</code></td></tr>'
        for name, setting in document["settings"].items()
    )
    tried = "".join(
        f"<details><summary>{escape(name)}: {len(rows)} settings on validation</summary>"
        + _table(["setting", "nDCG@10"], [[row["setting"], row["ndcg@10"]] for row in rows])
        + "</details>\n"
        for name, rows in document["validation"].items()
    )
    return f"<table><tr><th>model</th><th>setting</th></tr>{chosen}</table>\n{tried}"


def _method(document: Document) -> list[str]:
    bootstrap, reference = document["bootstrap"], document["reference"]
    texts = [
        "Every model ranks the whole catalogue, less what the user has seen; no metric is sampled. "
        "Among items with equal scores the target stands in the middle.",
        f"Intervals are percentiles of {bootstrap['resamples']:,} bootstrap resamples of users, "
        f"with all their events (seed {bootstrap['seed']}).",
        "Novelty is the mean self-information of the first ten, -log2 of the share of training "
        "users who know the item. Distance in a list is one minus the mean cosine of its items' "
        "genres. Head: the most popular items that hold half of the training events; new: items "
        "without a training event; tail: the rest.",
        f"Peak memory of the process: {document['peak_rss_mb']} MiB.",
    ]
    if reference:
        texts.insert(
            2,
            f"Differences are those of nDCG@10 in the same resamples, less {reference}; "
            "p is two-sided, corrected over the models after Holm.",
        )
    return texts


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else f"{cell:.4f}"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}"
