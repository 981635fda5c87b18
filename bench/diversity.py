"""What diversity costs in accuracy, and how unlike each other it makes the items of a slate.

    python -m bench.diversity --data DIR [--users N] [--plot FILE] [--json]

Each user's last five events are the test, each predicted from all before it by models that know
none of the five; weights are chosen on the five before, by models that know neither. Slates of ten
are composed of the best 500 of the whole catalogue, exactly scored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.options import data_option
from models.diversity import DPP, MMR, NONE, Composition, compose
from models.errors import ReportedError
from models.genre_calibration import genre_mix
from models.metadata import genre_vectors
from models.release import Items
from models.slate_rules import Groups
from training.config import TrainingConfig
from training.data import DataError, InteractionData, item_table
from training.final_model import Progress, fit_final
from training.friends import Friends
from training.metrics import TOP, gini, intra_list_distance, jaccard_distance
from training.progress import show_progress
from training.protocols import Fold
from training.readers import read
from training.sequences import EventSequences, event_sequences
from training.splits import Queries, thinned
from training.statistics import Bootstrap, Difference
from training.tandem_models import FittedTandem
from training.trend import choose_half_life

_CANDIDATES = 500
_BLOCK = 64
_ASKED = 5  # events of a user and fold; one would leave losses of a few percent to chance
_LEAST_KNOWN = 2  # events of a user that are left to learn from
_MOST_LOST = 0.02

_CALIBRATIONS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
_MMR_WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
_DPP_WEIGHTS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
_WITH = 0.05  # calibration beside diversity

CURVES: Mapping[str, Sequence[Composition]] = {
    "calibration": [Composition(calibration=each) for each in _CALIBRATIONS],
    "mmr": [Composition(MMR, weight) for weight in _MMR_WEIGHTS],
    "dpp": [Composition(DPP, weight) for weight in _DPP_WEIGHTS],
    "mmr + calibration": [Composition(MMR, weight, _WITH) for weight in _MMR_WEIGHTS],
    "dpp + calibration": [Composition(DPP, weight, _WITH) for weight in _DPP_WEIGHTS],
}
"""Ways to make slates diverse, each from weak to strong."""


@dataclass(frozen=True)
class Lists:
    """What there is to compose slates of, for q questions.

    Attributes:
        users: (q,) int64.
        targets: (q,) int32 the item that came next.
        rows: q arrays (k,) int32 of unseen item rows, best first.
        scores: q arrays (k,) float32.
        mixes: (q, g) float32 genres of what each user had before.
        vectors: (n, d) float32 tower vectors of the catalogue.
        genres: (n, g) bool genres of the catalogue.
    """

    users: NDArray[np.int64]
    targets: NDArray[np.int32]
    rows: Sequence[NDArray[np.int32]]
    scores: Sequence[NDArray[np.float32]]
    mixes: NDArray[np.float32]
    vectors: NDArray[np.float32]
    genres: NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """What a composition makes of questions.

    Attributes:
        ndcg: (q,) float64 nDCG@10 of each.
        distance: 1 - cosine of a slate's pairs in the towers' space.
        genre_distance: 1 - Jaccard index of the genres of a slate's pairs.
        coverage: share of the catalogue that is in anybody's slate.
        gini: of how often each item is.
    """

    ndcg: NDArray[np.float64]
    distance: float
    genre_distance: float
    coverage: float
    gini: float


def run(data: InteractionData, questions: int | None, progress: Progress) -> dict[str, Any]:
    """Trains on both folds, chooses weights on the first, reports the second.

    Args:
        data: the log.
        questions: most that are asked of a fold; None for all.
        progress: watches the stages.

    Raises:
        DataError: the log is too small.
    """
    log, items = event_sequences(data), item_table(data)
    folds = {"validation": _fold(log, skipped=_ASKED), "test": _fold(log, skipped=0)}
    for name, fold in folds.items():
        if not len(fold.train) or not len(fold.queries):
            raise DataError("diversity", f"no event for the {name} in {len(log)} events")
    measured = {}
    for name, fold in folds.items():
        asked = fold if questions is None else Fold(fold.train, thinned(fold.queries, questions))
        lists = _lists(asked, items, Friends.of(data.users), _of(progress, name))
        measured[name] = (lists, measure_all(lists, _of(progress, name)))
    return describe(*measured["validation"], *measured["test"])


def _fold(log: EventSequences, skipped: int) -> Fold:
    """Each user's last events but the skipped ones are asked for; training knows neither.

    Users with too few events for both folds are learnt from, not asked about.
    """
    users = np.flatnonzero(np.diff(log.offsets) >= 2 * _ASKED + _LEAST_KNOWN)
    ends = log.offsets[users + 1, None] - skipped
    asked = (ends - np.arange(_ASKED, 0, -1)).ravel()
    kept = np.ones(len(log), np.bool_)
    kept[(log.offsets[users + 1, None] - np.arange(_ASKED + skipped, 0, -1)).ravel()] = False
    return Fold(log.select(kept), Queries.at(log, asked))


def _lists(fold: Fold, items: Items, friends: Friends, progress: Progress) -> Lists:
    """Trains, and ranks the catalogue for each question."""
    config = TrainingConfig().for_events(len(fold.train))
    half_life = choose_half_life(fold.train, len(items))
    fit = fit_final(fold.train, items, config, half_life, progress, friends=friends)
    fitted = FittedTandem(fit.scorer, 0.0, fit.around)
    length = fit.scorer.towers.model.schema.history_length
    genres = genre_vectors(items.genres) > 0
    rows, scores, mixes = [], [], []
    for start in range(0, len(fold.queries), _BLOCK):
        block = fold.queries.take(slice(start, start + _BLOCK))
        of_block = fitted.score(block)
        of_block[block.known()] = -np.inf
        order = np.argsort(-of_block, axis=1, kind="stable")[:, :_CANDIDATES].astype(np.int32)
        for own, best, taste in zip(of_block, order, block.histories(length).rows, strict=True):
            rows.append(best[own[best] > -np.inf])
            scores.append(own[rows[-1]])
            mixes.append(genre_mix(genres[taste[taste >= 0]]))
        progress("rank", start + len(block), len(fold.queries))
    vectors = np.asarray(fit.scorer.towers.item_vectors, np.float32)
    queries = fold.queries
    return Lists(queries.users, queries.targets, rows, scores, np.array(mixes), vectors, genres)


def measure(lists: Lists, composition: Composition) -> Figures:
    """Composes a slate for each question."""
    shown = np.full((len(lists.rows), TOP), -1, np.int32)
    for at, (rows, scores) in enumerate(zip(lists.rows, lists.scores, strict=True)):
        vectors = lists.vectors[rows]
        composed = compose(
            scores,
            vectors.__getitem__,
            TOP,
            composition,
            groups=Groups(lists.genres[rows]) if composition.calibration else None,
            target=lists.mixes[at],
        )
        shown[at, : len(composed.positions)] = rows[composed.positions]
    hits = shown == lists.targets[:, None]
    return Figures(
        ndcg=(hits / np.log2(np.arange(TOP) + 2)).sum(axis=1),
        distance=intra_list_distance(shown, lists.vectors) or 0.0,
        genre_distance=jaccard_distance(shown, lists.genres) or 0.0,
        coverage=len(np.unique(shown[shown >= 0])) / len(lists.genres),
        gini=gini(shown, len(lists.genres)),
    )


def measure_all(lists: Lists, progress: Progress) -> list[Figures]:
    """Figures without diversity, then of all curves one after another."""
    everything = [Composition(), *(each for curve in CURVES.values() for each in curve)]
    figures = []
    for done, composition in enumerate(everything, start=1):
        figures.append(measure(lists, composition))
        progress("compose", done, len(everything))
    return figures


def _of(progress: Progress, fold: str) -> Progress:
    return lambda stage, done, of: progress(f"{fold}: {stage}", done, of)


def describe(
    tried_on: Lists, tried: Sequence[Figures], asked: Lists, figures: Sequence[Figures]
) -> dict[str, Any]:
    """The document of all curves: their figures on the test, and what validation chose.

    Args:
        tried_on, tried: the questions of validation, and their figures, from `measure_all`.
        asked, figures: those of the test.
    """
    points, tried_points = _beside_first(asked, figures), _beside_first(tried_on, tried)
    curves, start = {}, 1
    for name, curve in CURVES.items():
        part = slice(start, start + len(curve))
        start = part.stop
        curves[name] = {
            "chosen": _chosen(tried_points[part]),
            "at_most_lost": _at_most_lost([points[0], *points[part]]),
            "points": [
                {"setting": _setting(composition), "validation": before, **point}
                for composition, before, point in zip(
                    curve, tried_points[part], points[part], strict=True
                )
            ],
        }
    return {
        "questions": {"validation": len(tried_on.targets), "test": len(asked.targets)},
        "users": len(np.unique(asked.users)),
        "most_lost": _MOST_LOST,
        "without": {"validation": tried_points[0], **points[0]},
        "curves": curves,
    }


def _beside_first(lists: Lists, figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """Each beside the first, which is without diversity."""
    first = figures[0]
    bootstrap = Bootstrap.of(np.column_stack([each.ndcg for each in figures]), lists.users)
    level = float(bootstrap.observed[0]) or 1.0

    def relative(change: Difference) -> list[float]:
        return [round(each / level, 4) for each in (change.value, change.low, change.high)]

    described = []
    for column, each in enumerate(figures):
        change = relative(bootstrap.difference(column, 0))
        described.append(
            {
                "ndcg@10": round(float(each.ndcg.mean()), 4),
                "ndcg_change": change[0],
                "ndcg_change_ci": change[1:],
                "distance": round(each.distance, 4),
                "distance_change": round(each.distance / (first.distance or 1.0) - 1, 4),
                "genre_distance": round(each.genre_distance, 4),
                "genre_distance_change": round(
                    each.genre_distance / (first.genre_distance or 1.0) - 1, 4
                ),
                "coverage@10": round(each.coverage, 4),
                "gini": round(each.gini, 4),
            }
        )
    return described


def _chosen(points: Sequence[Mapping[str, Any]]) -> int | None:
    """The last of those that lose little, as all before it do; None when the first loses more."""
    lost = [at for at, point in enumerate(points) if point["ndcg_change"] < -_MOST_LOST]
    last = lost[0] - 1 if lost else len(points) - 1
    return last if last >= 0 else None


def _at_most_lost(points: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Where the line through the points first loses as much as is allowed; None where it never
    does."""
    for before, after in pairwise(points):
        if after["ndcg_change"] < -_MOST_LOST:
            lost = before["ndcg_change"] - after["ndcg_change"]
            way = (before["ndcg_change"] + _MOST_LOST) / lost
            return {
                name: round(before[name] + way * (after[name] - before[name]), 4)
                for name in ("ndcg_change", "distance_change", "genre_distance_change")
            }
    return None


def _setting(composition: Composition) -> dict[str, float]:
    """The weights that are not zero."""
    weights = {
        "weight": composition.weight if composition.method != NONE else 0.0,
        "calibration": composition.calibration,
    }
    return {name: value for name, value in weights.items() if value}


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Draws nDCG@10 of the test against both distances, the chosen weights ringed.

    Args:
        document: from `run`.
        path: a file of a format that matplotlib knows by its ending.
    """
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    without = document["without"]
    distances = {
        "distance": "intra-list distance, 1 - cosine of tower vectors",
        "genre_distance": "intra-list distance, 1 - Jaccard index of genres",
    }
    for axes, (name, label) in zip(
        figure.subplots(1, 2, sharey=True), distances.items(), strict=True
    ):
        for colour, (curve, drawn) in enumerate(document["curves"].items()):
            points = [without, *drawn["points"]]
            x, y = [each[name] for each in points], [each["ndcg@10"] for each in points]
            axes.plot(x, y, ".-", color=f"C{colour}", label=curve, alpha=0.8)
            if drawn["chosen"] is not None:
                at = drawn["chosen"] + 1
                axes.plot(x[at], y[at], "o", color=f"C{colour}", markersize=10, fillstyle="none")
        axes.plot(without[name], without["ndcg@10"], "k*", markersize=11, label="no diversity")
        least = (1 - document["most_lost"]) * without["ndcg@10"]
        axes.axhline(least, color="grey", linestyle=":", label=f"-{document['most_lost']:.0%}")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("nDCG@10")
    figure.axes[0].legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _table(document: Mapping[str, Any]) -> Table:
    """All settings on the test; the chosen ones are marked."""
    columns = (
        "",
        "nDCG@10",
        "95 %",
        "distance",
        "genre distance",
        "coverage@10",
        "Gini",
        "validation",
    )
    table = Table(
        *columns, title=f"{document['questions']['test']} questions; * chosen on validation"
    )

    def row(name: str, point: Mapping[str, Any]) -> None:
        low, high = point["ndcg_change_ci"]
        table.add_row(
            name,
            f"{point['ndcg@10']:.4f} {point['ndcg_change']:+.1%}",
            f"{low:+.1%} to {high:+.1%}",
            f"{point['distance']:.3f} {point['distance_change']:+.1%}",
            f"{point['genre_distance']:.3f} {point['genre_distance_change']:+.1%}",
            f"{point['coverage@10']:.3f}",
            f"{point['gini']:.3f}",
            f"{point['validation']['ndcg_change']:+.1%}",
        )

    row("no diversity", document["without"])
    for name, curve in document["curves"].items():
        table.add_section()
        for at, point in enumerate(curve["points"]):
            setting = point["setting"].get("weight", point["setting"].get("calibration"))
            row(f"{name} {setting:g}{' *' if at == curve['chosen'] else ''}", point)
    return table


@click.command()
@data_option
@click.option(
    "--users", type=click.IntRange(min=1), help="Most questions of a fold; all unless given."
)
@click.option(
    "--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="A picture."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(data: Path, users: int | None, picture: Path | None, as_json: bool) -> None:
    """Measures what diversity costs and brings on a log."""
    if (
        picture is not None
        and picture.suffix.lstrip(".") not in Figure().canvas.get_supported_filetypes()
    ):
        raise click.ClickException(f"{picture}: not a format of pictures")
    try:
        with show_progress() as progress:
            document = run(read(data), users, progress)
        if picture is not None:
            plot(document, picture)
    except (ReportedError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print(json.dumps(document))
        return
    Console(width=130).print(_table(document))
    for name, curve in document["curves"].items():
        print(_verdict(name, curve))


def _verdict(name: str, curve: Mapping[str, Any]) -> str:
    read = curve["at_most_lost"]
    said = (
        f"{name}: never loses {_MOST_LOST:.0%}"
        if read is None
        else f"{name}: distance {read['distance_change']:+.1%}, genre distance "
        f"{read['genre_distance_change']:+.1%} where {_MOST_LOST:.0%} of nDCG@10 is lost"
    )
    if curve["chosen"] is None:
        return f"{said}; every weight loses more than that on validation"
    point: Mapping[str, Any] = curve["points"][curve["chosen"]]
    setting = ", ".join(f"{key} {value:g}" for key, value in point["setting"].items())
    return (
        f"{said}; chosen on validation: {setting}, with {point['ndcg_change']:+.1%} and "
        f"{point['distance_change']:+.1%}"
    )


if __name__ == "__main__":
    main()
