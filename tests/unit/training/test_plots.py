from pathlib import Path
from xml.etree import ElementTree

import pytest

from models.rating_factorization import LearningCurve
from training.plots import plot_learning_curve

SVG = "{http://www.w3.org/2000/svg}"
CURVE = LearningCurve(train=[1.0, 0.8, 0.7], validation=[1.1, 0.9, 0.95], best=1)


def lines(path: Path) -> dict[str, list[tuple[float, float]]]:
    """The points of each named line, in the coordinates of the picture (y grows downwards)."""
    found = {}
    for group in ElementTree.parse(path).iter(f"{SVG}g"):
        if group.get("id") in ("train", "validation"):
            path_of = group.find(f"{SVG}path")
            assert path_of is not None
            numbers = path_of.get("d", "").replace("M", " ").replace("L", " ").split()
            values = [float(number) for number in numbers]
            found[group.get("id", "")] = list(zip(values[::2], values[1::2], strict=True))
    return found


def test_both_lines_are_drawn_to_scale(tmp_path: Path) -> None:
    plot_learning_curve(CURVE, tmp_path / "curve.svg")
    drawn = lines(tmp_path / "curve.svg")
    for name, values in (("train", CURVE.train), ("validation", CURVE.validation)):
        heights = [y for _, y in drawn[name]]
        ratio = (heights[1] - heights[0]) / (heights[2] - heights[0])
        assert ratio == pytest.approx((values[1] - values[0]) / (values[2] - values[0]), rel=1e-3)


def test_without_validation_only_training_is_drawn(tmp_path: Path) -> None:
    plot_learning_curve(LearningCurve([1.0, 0.5], [], 1), tmp_path / "new" / "curve.svg")
    assert set(lines(tmp_path / "new" / "curve.svg")) == {"train"}


def test_the_same_curve_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plot_learning_curve(CURVE, tmp_path / name, "title")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
