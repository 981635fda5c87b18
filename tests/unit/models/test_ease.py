import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from models import ease
from models.ease import fit_ease

_LAMBDA = 3.0


def _interactions(users: int, n: int, seed: int = 0) -> csr_array:
    random = np.random.default_rng(seed).random((users, n))
    return csr_array((random < 0.3).astype(np.float32))


def _weights(interactions: csr_array) -> NDArray[np.float64]:
    """B, as what each item alone says for all others."""
    each = csr_array(eye_array(interactions.shape[1], dtype=np.float32))
    return fit_ease(interactions, _LAMBDA).score(each).astype(np.float64)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)], ids=["over items", "over users"])
def test_weights_are_the_best_that_do_not_use_the_item_itself(shape: tuple[int, int]) -> None:
    interactions = _interactions(*shape)
    weights = _weights(interactions)
    np.testing.assert_allclose(np.diag(weights), 0, atol=1e-5)
    # Gradient of |X - XB|^2 + lambda |B|^2, halved: zero wherever B is free, i.e. off the diagonal.
    x = interactions.toarray().astype(np.float64)
    gradient = x.T @ (x @ weights - x) + _LAMBDA * weights
    np.fill_diagonal(gradient, 0)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)


def test_two_items_by_hand() -> None:
    # Two users had both items, one only the first: B_01 = G_01 / (G_00 + lambda) = 2 / 6.
    weights = _weights(csr_array(np.array([[1, 1], [1, 1], [1, 0]], np.float32)))
    np.testing.assert_allclose(weights, [[0, 2 / 6], [2 / 5, 0]], atol=1e-6)


def test_a_weighted_history_scores_the_weighted_sum_of_its_items() -> None:
    interactions = _interactions(9, 30)
    history = csr_array(np.eye(30, dtype=np.float32)[[4]] * 0.5 + np.eye(30, dtype=np.float32)[[7]])
    expected = 0.5 * _weights(interactions)[4] + _weights(interactions)[7]
    found = fit_ease(interactions, _LAMBDA).score(history)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_users_and_items_without_events_change_nothing() -> None:
    interactions = _interactions(6, 20)
    padded = csr_array(np.pad(interactions.toarray(), ((0, 3), (0, 2))))
    np.testing.assert_allclose(_weights(padded)[:20, :20], _weights(interactions), atol=1e-5)
    assert not _weights(padded)[20:].any()


def test_of_a_catalogue_too_large_the_most_frequent_items_take_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interactions = _interactions(40, 12)
    counts = np.asarray(interactions.sum(axis=0)).ravel()
    kept = np.sort(np.argsort(-counts, kind="stable")[:8])
    rest = np.setdiff1d(np.arange(12), kept)
    monkeypatch.setattr(ease, "LARGEST", 8)
    found = _weights(interactions)
    part = _weights(csr_array(interactions[:, kept]))
    np.testing.assert_allclose(found[np.ix_(kept, kept)], part, atol=1e-5)
    assert (found[:, rest].max(axis=1) < found[:, kept].min(axis=1)).all()
