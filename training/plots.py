"""Plots of training, written as SVG. Drawn without a display and without global state."""

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.rating_factorization import LearningCurve


def plot_learning_curve(curve: LearningCurve, path: Path, title: str = "") -> None:
    """Draws training and validation error by epoch, with a line where the weights were kept.

    The same curve gives the same bytes.

    Args:
        curve: errors by epoch, from before the first.
        path: an SVG file to be written; its folder is made.
        title: above the plot.
    """
    # Random element ids and the date would make each file differ from the last.
    with matplotlib.rc_context({"svg.hashsalt": "tandem"}):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(curve.train, label="train", gid="train")
        if curve.validation:
            axes.plot(curve.validation, label="validation", gid="validation")
        axes.axvline(curve.best, color="grey", linestyle=":", label=f"kept: {curve.best}")
        axes.set(xlabel="epochs", ylabel="RMSE", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})  # type: ignore[no-untyped-call]
