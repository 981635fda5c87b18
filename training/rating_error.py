"""How well utility is predicted: RMSE on a random tenth of the pairs, method by method.

    python -m training.rating_error --data DIR [--seeds 3] [--json] [--plot FILE.svg]

Utility is the composite one; in a log of ratings that is the latest rating of each pair. What
predicts ratings best does not rank best: see docs/factorization.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array

from models.errors import ReportedError
from models.rating_factorization import (
    LearningCurve,
    RatingFactorizationConfig,
    factorize_ratings,
    select_stored,
)
from models.rating_factors import RatingFactors, fit_biases, svd_ratings
from models.truncated_svd import truncated_svd
from training.data import DataError
from training.normalization import NORMALIZATIONS
from training.plots import plot_learning_curve
from training.progress import show_progress
from training.readers import read
from training.sequences import event_sequences
from training.utility import composite_utility

Rows = NDArray[np.integer]
Predict = Callable[[Rows, Rows], NDArray[np.float32]]
"""User rows and item rows, (p,) each, to (p,) utilities."""

DIMENSIONS = 20

_TEST_SHARE = 0.1
_FEWEST_PAIRS = 10
_EXPLICIT_ONLY = RatingFactorizationConfig(DIMENSIONS, implicit=False, regularization=14.0)
_WITH_IMPLICIT = RatingFactorizationConfig(DIMENSIONS)


@dataclass(frozen=True)
class RatingErrors:
    """The result of one comparison.

    Attributes:
        pairs: pairs of user and item with a utility.
        errors: RMSE by method, one a seed.
        curve: how the factorization with implicit terms went, at the first seed.
    """

    pairs: int
    errors: Mapping[str, Sequence[float]]
    curve: LearningCurve

    def document(self) -> dict[str, Any]:
        """Plain values: mean and standard deviation (of the sample; 0 for one seed) by method."""
        return {
            "protocol": "random 90/10",
            "pairs": self.pairs,
            "models": {
                name: {
                    "rmse": float(np.mean(errors)),
                    "deviation": float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0,
                    "seeds": list(errors),
                }
                for name, errors in self.errors.items()
            },
        }


def compare(
    utilities: csr_array,
    seeds: int,
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _of: None,
) -> RatingErrors:
    """Fits every method on nine tenths of the pairs and measures it on the rest.

    Seed s, from 0, draws the test pairs of the s-th repetition and whatever a method draws.

    Args:
        utilities: (n_users, n_items) sparse.
        seeds: repetitions.
        progress: told stage, steps done and steps in all.

    Raises:
        DataError: there are too few pairs to hold any out.
    """
    if utilities.nnz < _FEWEST_PAIRS:
        reason = f"needs {_FEWEST_PAIRS} pairs of user and item with a utility"
        raise DataError("events", f"{reason}, there are {utilities.nnz}")
    errors: dict[str, list[float]] = {}
    curves: list[LearningCurve] = []
    for seed in range(seeds):
        held_out = np.zeros(utilities.nnz, dtype=np.bool_)
        drawn = np.random.default_rng(seed).permutation(utilities.nnz)
        held_out[drawn[: int(utilities.nnz * _TEST_SHARE)]] = True
        train, test = select_stored(utilities, ~held_out), select_stored(utilities, held_out)
        for name, predict in _methods(train, seed, curves.append):
            errors.setdefault(name, []).append(root_mean_squared_error(predict, test))
        progress("seeds", seed + 1, seeds)
    return RatingErrors(utilities.nnz, errors, curves[0])


def root_mean_squared_error(predict: Predict, test: csr_array) -> float:
    """Over the stored pairs of `test`."""
    users = np.repeat(np.arange(test.shape[0]), np.diff(test.indptr))
    return float(np.square(predict(users, test.indices) - test.data).mean(dtype=np.float64) ** 0.5)


def _methods(
    train: csr_array, seed: int, keep: Callable[[LearningCurve], None]
) -> Iterator[tuple[str, Predict]]:
    """Each method by its name in reports, fitted; `keep` is given the curve of the last."""
    biases = fit_biases(train)
    low, high = float(train.data.min()), float(train.data.max())
    n_users, n_items = train.shape
    nothing = [np.zeros((n, 1), dtype=np.float32) for n in (n_users, n_items)]
    yield "global mean", lambda users, _items: np.full(len(users), biases.mean, dtype=np.float32)
    yield "biases", RatingFactors(biases, nothing[0], nothing[1], low, high).predict
    for name in NORMALIZATIONS:
        yield f"truncated SVD, {name}", _normalized_svd(train, name, seed)
    yield "truncated SVD, biases removed", svd_ratings(train, DIMENSIONS, seed).predict
    explicit = factorize_ratings(train, replace(_EXPLICIT_ONLY, seed=seed))
    yield "factorization", explicit.factors.predict
    implicit = factorize_ratings(train, replace(_WITH_IMPLICIT, seed=seed))
    keep(implicit.curve)
    yield "factorization, implicit terms", implicit.factors.predict


def _normalized_svd(train: csr_array, name: str, seed: int) -> Predict:
    """Truncated SVD of the normalized matrix, where pairs without a utility count as 0."""
    normalized = NORMALIZATIONS[name](train)
    x, y = truncated_svd(normalized.matrix, DIMENSIONS, seed).split(DIMENSIONS)
    low, high = float(train.data.min()), float(train.data.max())

    def predict(users: Rows, items: Rows) -> NDArray[np.float32]:
        values = np.einsum("pk,pk->p", x[users], y[items])
        clipped: NDArray[np.float32] = normalized.restore(users, values).clip(low, high)
        return clipped

    return predict


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the log.")
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--plot", type=click.Path(path_type=Path), help="SVG of the learning curve.")
def main(data: Path, seeds: int, as_json: bool, plot: Path | None) -> None:
    """Compares predictors of utility by RMSE on a random tenth of the pairs."""
    try:
        log = read(data)
        utilities = composite_utility(event_sequences(log), len(log.items))
        with show_progress() as progress:
            found = compare(utilities, seeds, progress)
    except ReportedError as error:
        raise click.ClickException(str(error)) from None
    if plot is not None:
        plot_learning_curve(found.curve, plot, "factorization, implicit terms")
    document = found.document()
    if as_json:
        click.echo(json.dumps(document))
    else:
        Console().print(_table(document))


def _table(document: Mapping[str, Any]) -> Table:
    table = Table("method", title=f"{document['protocol']}, {document['pairs']:,} pairs")
    for column in ("RMSE", "±"):
        table.add_column(column, justify="right")
    for name, model in document["models"].items():
        table.add_row(name, f"{model['rmse']:.4f}", f"{model['deviation']:.4f}")
    return table


if __name__ == "__main__":
    main()
