"""The plots of an evaluation report, as SVG to be put into a page."""

import io
import re
from collections.abc import Mapping
from itertools import count
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Models = Mapping[str, Mapping[str, Any]]
"""Figures of each model by its name, best nDCG@10 first."""

_IN_BARS = 6
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: smaller, searchable, escaped
    "svg.hashsalt": "tandem",  # the same document gives the same page
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_MARKS = "osD^vP*X"
_LINES = ("-", "--", "-.", ":")


def plots(document: Mapping[str, Any]) -> dict[str, str]:
    """SVG elements by caption."""
    ordered = sorted(document["models"].items(), key=lambda item: item[1]["ndcg@10"], reverse=True)
    models: Models = dict(ordered)
    level, depths = document["bootstrap"]["level"], document["recall_depths"]
    with matplotlib.rc_context(_STYLE):
        drawn = {
            f"nDCG@10 with {100 * level:g} % intervals": _intervals(models),
            "Recall by number of candidates": _recall(models, depths),
            f"nDCG@10 by length of history ({_best(models)})": _cohorts(models, "history"),
            f"nDCG@10 by popularity of the target ({_best(models)})": _cohorts(models, "target"),
            "nDCG@10 against coverage@10": _coverage(models),
        }
        if "sources" in document:
            drawn["Recall of candidate sources, alone and together"] = _sources(document["sources"])
        return {
            caption: _svg(figure, f"plot{number}")
            for number, (caption, figure) in zip(count(1), drawn.items(), strict=False)
        }


def _intervals(models: Models) -> Figure:
    figure, axes = _axes(height=0.9 + 0.28 * len(models))
    for place, (name, figures) in enumerate(models.items()):
        value, (low, high) = figures["ndcg@10"], figures["ci"]["ndcg@10"]
        axes.plot([low, high], [place, place], color=_colour(name, models), linewidth=2)
        axes.plot(value, place, "o", color=_colour(name, models))
    axes.set_yticks(range(len(models)), [_plain(name) for name in models])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("nDCG@10")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _recall(models: Models, depths: list[int]) -> Figure:
    figure, axes = _axes(height=4.2)
    for place, (name, figures) in enumerate(models.items()):
        colour, line = _colour(name, models), _LINES[place % len(_LINES)]
        axes.plot(depths, figures["recall"], line, color=colour, label=_plain(name))
    axes.set_xscale("log")
    ticks = [depth for depth in (1, 2, 5, 10, 20, 50, 100, 200, 500) if depth <= depths[-1]]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("k, candidates")
    axes.set_ylabel("recall@k")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def _cohorts(models: Models, kind: str) -> Figure:
    figure, axes = _axes(height=3.4)
    shown = list(models.items())[:_IN_BARS]
    cohorts = shown[0][1]["cohorts"][kind]
    width = 0.8 / len(shown)
    for place, (name, figures) in enumerate(shown):
        values = [each["ndcg@10"] or 0.0 for each in figures["cohorts"][kind].values()]
        at = [cohort - 0.4 + (place + 0.5) * width for cohort in range(len(values))]
        axes.bar(at, values, width, color=_colour(name, models), label=_plain(name))
    labels = [f"{cohort}\nn = {each['n']}" for cohort, each in cohorts.items()]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel("nDCG@10")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _coverage(models: Models) -> Figure:
    figure, axes = _axes(height=4.2)
    for place, (name, figures) in enumerate(models.items()):
        mark, colour = _MARKS[place % len(_MARKS)], _colour(name, models)
        position = (figures["coverage@10"], figures["ndcg@10"])
        axes.plot(*position, mark, color=colour, label=_plain(name))
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage@10, share of the catalogue shown")
    axes.set_ylabel("nDCG@10")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    return figure


def _sources(sources: Mapping[str, Any]) -> Figure:
    """What a source adds is the way from its mark to the line."""
    names = [name for name in sources if name != "all"]
    figure = Figure(figsize=(7, 0.9 + 0.3 * len(names)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, metric in zip(panels, ("recall@100", "recall@500"), strict=True):
        alone = [sources[name]["alone"][metric] for name in names]
        without = [sources[name]["without"][metric] for name in names]
        axes.barh(range(len(names)), alone, color="tab:blue", alpha=0.6, label="alone")
        axes.plot(without, range(len(names)), "D", color="tab:orange", label="all others")
        axes.axvline(sources["all"][metric], color="black", linewidth=1, label="all")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel(metric)
    panels[0].invert_yaxis()
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def _axes(height: float) -> tuple[Figure, Axes]:
    """Seven inches wide."""
    figure = Figure(figsize=(7, height), layout="constrained")
    return figure, figure.add_subplot()


def _best(models: Models) -> str:
    return f"best {_IN_BARS} models" if len(models) > _IN_BARS else "all models"


def _colour(name: str, models: Models) -> Any:
    """One colour a model in all plots."""
    return matplotlib.colormaps["tab20"](sorted(models).index(name) % 20)


def _plain(name: str) -> str:
    """An underscore in front would hide it from legends."""
    return name.lstrip("_")


def _svg(figure: Figure, prefix: str) -> str:
    """The element alone, its ids made unique within a page of many."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
