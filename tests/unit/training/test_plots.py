import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from models.head import CLICK, Head
from models.rating_factorization import LearningCurve
from training.calibration import Bin, Calibration
from training.plots import plot_learning_curve, plot_reliability, plot_towers

SVG = "{http://www.w3.org/2000/svg}"
CURVE = LearningCurve(train=[1.0, 0.8, 0.7], validation=[1.1, 0.9, 0.95], best=1)
BINS = [Bin(900, 0.05, 0.04), Bin(300, 0.5, 0.4), Bin(100, 0.98, 1.0)]
CALIBRATION = Calibration(Head(CLICK, (0.0, 1.0), (-1.0, 1.0)), 0.0321, BINS)


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


def points(path: Path, name: str) -> list[tuple[float, float]]:
    """The points of a line or the corners of a bar, in the coordinates of the picture."""
    group = next(g for g in ElementTree.parse(path).iter(f"{SVG}g") if g.get("id") == name)
    path_of = group.find(f"{SVG}path")
    assert path_of is not None
    numbers = re.findall(r"-?[\d.]+", path_of.get("d", ""))
    values = [float(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def marker(path: Path, name: str) -> tuple[float, float]:
    group = next(g for g in ElementTree.parse(path).iter(f"{SVG}g") if g.get("id") == name)
    use = next(group.iter(f"{SVG}use"))
    return float(use.get("x", "nan")), float(use.get("y", "nan"))


def ratio(values: list[float]) -> float:
    """Free of scale and origin."""
    return (values[1] - values[0]) / (values[2] - values[0])


def test_the_reliability_diagram_is_drawn_to_scale(tmp_path: Path) -> None:
    file = tmp_path / "reliability.svg"
    plot_reliability(CALIBRATION, file)
    drawn = points(file, "reliability")
    assert ratio([x for x, _ in drawn]) == pytest.approx(ratio([0.05, 0.5, 0.98]), rel=1e-3)
    assert ratio([y for _, y in drawn]) == pytest.approx(ratio([0.04, 0.4, 1.0]), rel=1e-3)


def test_each_bin_has_a_bar_as_tall_as_its_pairs_are_many(tmp_path: Path) -> None:
    file = tmp_path / "reliability.svg"
    plot_reliability(CALIBRATION, file)
    bars = [points(file, f"bin{number}") for number in range(3)]
    heights = [max(y for _, y in bar) - min(y for _, y in bar) for bar in bars]
    assert [height / heights[2] for height in heights] == pytest.approx([9, 3, 1], rel=1e-3)
    left = [min(x for x, _ in bar) for bar in bars]
    assert ratio(left) == pytest.approx(7 / 14, rel=1e-3)  # bins 0, 7 and 14 of 15


def test_the_towers_are_drawn_from_their_start_with_the_chosen_pass_marked(tmp_path: Path) -> None:
    file = tmp_path / "towers.svg"
    passes = [{"ndcg@10": n, "recall@100": r} for n, r in ((0.05, 0.3), (0.07, 0.5), (0.06, 0.4))]
    plot_towers(passes, 1, 0.7, {"ndcg@10": 0.08, "recall@100": 0.5}, file)
    for name in ("ndcg@10", "recall@100"):
        drawn = points(file, name)
        heights = [y for _, y in drawn]
        assert ratio(heights) == pytest.approx(ratio([each[name] for each in passes]), rel=1e-3)
        assert marker(file, f"{name}-chosen")[0] == pytest.approx(drawn[1][0], abs=1e-3)
    assert marker(file, "recall@100-chosen") == pytest.approx(points(file, "recall@100")[1])
    assert marker(file, "ndcg@10-chosen")[1] < points(file, "ndcg@10")[1][1]


def test_a_log_too_small_to_hold_out_anything_is_drawn_all_the_same(tmp_path: Path) -> None:
    plot_reliability(Calibration(CALIBRATION.head, float("nan"), []), tmp_path / "r.svg")
    nothing = {"ndcg@10": float("nan"), "recall@100": float("nan")}
    plot_towers([nothing], 0, 0.0, nothing, tmp_path / "t.svg")
    assert "no held-out pairs" in (tmp_path / "r.svg").read_text()
    assert "chosen: the start" in (tmp_path / "t.svg").read_text()


def test_release_plots_are_the_same_bytes_for_the_same_training(tmp_path: Path) -> None:
    metrics = {"ndcg@10": 0.1, "recall@100": 0.2}
    for folder in (tmp_path / "a", tmp_path / "b"):
        plot_reliability(CALIBRATION, folder / "r.svg")
        plot_towers([metrics, metrics], 1, 0.5, metrics, folder / "t.svg")
    for name in ("r.svg", "t.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
