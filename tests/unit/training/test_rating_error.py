import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.data import DataError
from training.rating_error import RatingErrors, compare, main, root_mean_squared_error


def planted(n_users: int = 60, n_items: int = 30) -> csr_array:
    """Utilities made of biases only, seen for half of the pairs."""
    rng = np.random.default_rng(0)
    users, items = rng.normal(0, 1, (n_users, 1)), rng.normal(0, 1, (1, n_items))
    dense = (5 + users + items).clip(0.5, 15)
    return csr_array(np.where(rng.random(dense.shape) < 0.5, dense, 0).astype(np.float32))


@pytest.fixture(scope="module")
def found() -> RatingErrors:
    return compare(planted(), seeds=2)


def test_the_error_is_that_of_the_formula() -> None:
    test = csr_array(np.array([[0, 3.0], [1.0, 0]], np.float32))

    def predict(users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.float32]:
        assert users.tolist() == [0, 1]
        assert items.tolist() == [1, 0]
        return np.array([4.0, 4.0], np.float32)

    assert root_mean_squared_error(predict, test) == pytest.approx(((1 + 9) / 2) ** 0.5)


def test_what_is_planted_is_found(found: RatingErrors) -> None:
    rmse = {name: model["rmse"] for name, model in found.document()["models"].items()}
    for better in ("biases", "factorization", "factorization, implicit terms"):
        assert rmse[better] < 0.25 * rmse["global mean"]
    # Averages of users explain half of it.
    assert rmse["biases"] < rmse["truncated SVD, centred"] < rmse["global mean"]
    assert rmse["truncated SVD, none"] > rmse["truncated SVD, centred"]


def test_every_seed_counts(found: RatingErrors) -> None:
    model = found.document()["models"]["biases"]
    assert len(set(model["seeds"])) == 2
    assert model["rmse"] == pytest.approx(np.mean(model["seeds"]))
    assert model["deviation"] == pytest.approx(np.std(model["seeds"], ddof=1))


def test_too_few_pairs_are_an_error() -> None:
    with pytest.raises(DataError, match="needs 10 pairs of user and item with a utility"):
        compare(csr_array(np.ones((3, 3), np.float32)), seeds=1)


def write_log(folder: Path) -> None:
    pairs = planted(20, 10).tocoo()
    lines = [
        f"{user},{item},{value},{time}"
        for time, (user, item, value) in enumerate(
            zip(pairs.row, pairs.col, np.clip(pairs.data, 0.5, 10), strict=True)
        )
    ]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    movies = [f"{item},Title {item},Drama" for item in range(10)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]))


def test_the_command_prints_json_and_draws_the_curve(tmp_path: Path) -> None:
    write_log(tmp_path)
    plot = tmp_path / "curve.svg"
    arguments = ["--data", str(tmp_path), "--seeds", "1", "--json", "--plot", str(plot)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["pairs"] == planted(20, 10).nnz
    assert document["models"]["biases"]["deviation"] == 0
    assert plot.read_text().lstrip().startswith("<?xml")


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--data", str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'nowhere'}: no such directory\n"


@pytest.mark.movielens
def test_factorization_predicts_movielens_ratings(movielens: Path) -> None:
    arguments = ["--data", str(movielens), "--seeds", "1", "--json"]
    models = json.loads(CliRunner().invoke(main, arguments).stdout)["models"]
    assert models["factorization"]["rmse"] < models["biases"]["rmse"] - 0.01
    assert models["factorization, implicit terms"]["rmse"] <= 0.828
