from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import composing, diversity
from bench.diversity import CURVES, Lists, _at_most_lost, describe, measure, measure_all, plot
from models.diversity import MMR, Composition
from training.pipeline import no_progress


@pytest.fixture
def lists() -> Lists:
    rng = np.random.default_rng(0)
    n_items, questions = 80, 12
    rows = [rng.permutation(n_items)[:60].astype(np.int32) for _ in range(questions)]
    return Lists(
        users=np.arange(questions) // 2,
        targets=np.array([each[at % 4] for at, each in enumerate(rows)], np.int32),
        rows=rows,
        scores=[np.linspace(1, 0, 60, dtype=np.float32)] * questions,
        mixes=np.full((questions, 3), 1 / 3, np.float32),
        vectors=rng.normal(size=(n_items, 8)).astype(np.float32),
        genres=rng.random((n_items, 3)) < 0.5,
    )


def test_without_diversity_slates_are_the_best_ten(lists: Lists) -> None:
    figures = measure(lists, Composition())
    places = np.arange(12) % 4
    np.testing.assert_allclose(figures.ndcg, 1 / np.log2(places + 2))
    assert measure(lists, Composition(MMR, 0.9)).distance > figures.distance


def test_weights_are_chosen_on_validation(lists: Lists, tmp_path: Path) -> None:
    figures = measure_all(lists, no_progress)
    document = describe(lists, figures, lists, figures)
    assert document["curves"].keys() == CURVES.keys()
    for curve in document["curves"].values():
        kept = [each["validation"]["ndcg_change"] >= -0.02 for each in curve["points"]]
        expected = kept.index(False) if False in kept else len(kept)
        assert curve["chosen"] == (expected - 1 if expected else None)
    plot(document, tmp_path / "plots" / "diversity.png")
    assert (tmp_path / "plots" / "diversity.png").stat().st_size > 0


def test_curves_are_read_where_two_percent_are_lost() -> None:
    def point(ndcg: float, distance: float) -> dict[str, float]:
        return {
            "ndcg_change": ndcg,
            "distance_change": distance,
            "genre_distance_change": distance / 2,
        }

    curve = [point(0.0, 0.0), point(-0.01, 0.1), point(-0.03, 0.2), point(-0.01, 0.4)]
    assert _at_most_lost(curve) == pytest.approx(point(-0.02, 0.15))
    assert _at_most_lost(curve[:2]) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "holds neither ratings.csv"),
        (["--plot", "picture.docx"], "picture.docx: not a format of pictures"),
    ],
)
def test_errors_are_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(diversity.main, ["--data", str(tmp_path), *arguments])
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.count("\n") == 1


def test_composing_is_timed_beside_a_sort() -> None:
    result = CliRunner().invoke(composing.main, ["--repeats", "2", "--dimensions", "8"])
    assert result.exit_code == 0
    assert result.output.startswith("sort ")
