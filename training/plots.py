"""Plots of training, written as SVG. Drawn without a display and without global state.

What is equal gives equal bytes: release folders can be compared by checksum.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.head import CLICK
from models.rating_factorization import LearningCurve
from training.calibration import BINS, Calibration

RELIABILITY = "reliability.svg"
TOWERS = "towers.svg"
RELEASE_PLOTS = (RELIABILITY, TOWERS)
"""Plots in every release folder."""

TOWER_METRICS = ("ndcg@10", "recall@100")


def plot_learning_curve(curve: LearningCurve, path: Path, title: str = "") -> None:
    """Draws training and validation error by epoch, with a line where the weights were kept.

    Args:
        curve: errors by epoch, from before the first.
        path: an SVG file to be written; its folder is made.
        title: above the plot.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(curve.train, label="train", gid="train")
        if curve.validation:
            axes.plot(curve.validation, label="validation", gid="validation")
        axes.axvline(curve.best, color="grey", linestyle=":", label=f"kept: {curve.best}")
        axes.set(xlabel="epochs", ylabel="RMSE", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()

    _write(draw, path, height=4.0)


def plot_reliability(calibration: Calibration, path: Path) -> None:
    """Draws the reliability diagram of a head over the number of pairs in each bin.

    A calibrated head's points lie on the diagonal. Utilities are divided by 15, as in the ECE.

    Args:
        calibration: the head, and bins of its predictions on held-out pairs.
        path: an SVG file to be written; its folder is made.
    """
    bins = calibration.bins
    predicted = [each.predicted for each in bins]
    places = [min(int(each.predicted * BINS), BINS - 1) / BINS for each in bins]
    pairs = sum(each.pairs for each in bins)
    of = "click" if calibration.head.objective == CLICK else "utility / 15"

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
        above.plot(
            predicted, [each.observed for each in bins], "o-", gid="reliability", label="held out"
        )
        title = f"ECE {calibration.ece:.4f}, {pairs:,} pairs" if pairs else "no held-out pairs"
        above.set(ylabel=f"observed {of}", ylim=(-0.02, 1.02), title=title)
        above.legend(loc="upper left")
        bars = below.bar(places, [each.pairs for each in bins], 1 / BINS, align="edge", alpha=0.6)
        for number, bar in enumerate(bars):
            bar.set_gid(f"bin{number}")
        below.set(xlabel=f"predicted {of}", ylabel="pairs", xlim=(-0.02, 1.02))
        for axes in (above, below):
            axes.grid(alpha=0.3)

    _write(draw, path, height=5.2)


def plot_towers(
    validation: Sequence[Mapping[str, float]],
    passes: int,
    share: float,
    chosen: Mapping[str, float],
    path: Path,
) -> None:
    """Draws what the towers make of the held-out events after each pass; pass 0 is before any.

    The lines are of one share of the way from the start; the chosen model may be of another.

    Args:
        validation: metrics before any pass and after each; see `TowerFit.validation`.
        passes: after which the chosen model was taken.
        share: of the way from the start to there, at which it was.
        chosen: its metrics.
        path: an SVG file to be written; its folder is made.
    """
    label = f"chosen: pass {passes}, {share:g} of the way" if share else "chosen: the start"

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(TOWER_METRICS), sharex=True)
        for axes, name in zip(panels, TOWER_METRICS, strict=True):
            axes.plot([metrics[name] for metrics in validation], ".-", gid=name)
            axes.plot(
                [passes], [chosen[name]], "o", color="tab:red", label=label, gid=f"{name}-chosen"
            )
            axes.set_ylabel(name.replace("ndcg", "nDCG"))
            axes.grid(alpha=0.3)
        panels[0].legend()
        panels[-1].set_xlabel("passes")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))

    _write(draw, path, height=5.2)


def _write(draw: Callable[[Figure], None], path: Path, height: float) -> None:
    # Random element ids and the date would make each file differ from the last.
    with matplotlib.rc_context({"svg.hashsalt": "tandem"}):
        figure = Figure(figsize=(6.4, height), layout="constrained")
        draw(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})  # type: ignore[no-untyped-call]
