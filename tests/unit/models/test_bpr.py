import numpy as np
from scipy.sparse import csr_array

from models.bpr import BprConfig, fit_bpr

_CONFIG = BprConfig(dimensions=8, epochs=60, batch=256)


def _clusters(seed: int = 0) -> csr_array:
    """60 users in two camps; each has half of the camp's 20 items."""
    random = np.random.default_rng(seed).random((60, 40)) < 0.5
    camp = np.arange(60)[:, None] % 2 == np.arange(40) % 2
    return csr_array((random & camp).astype(np.float32))


def test_unseen_items_of_the_own_camp_rank_above_the_others() -> None:
    interactions = _clusters()
    factors = fit_bpr(interactions, _CONFIG)
    scores = factors.score(np.arange(60))
    unseen = interactions.toarray() == 0
    own = np.arange(60)[:, None] % 2 == np.arange(40) % 2
    better = [
        (scores[u, unseen[u] & own[u]][:, None] > scores[u, ~own[u]]).mean() for u in range(60)
    ]
    assert np.mean(better) > 0.95


def test_biases_follow_popularity_when_tastes_are_alike() -> None:
    share = np.linspace(0.05, 0.9, 10)
    interactions = csr_array(
        (np.random.default_rng(0).random((200, 10)) < share).astype(np.float32)
    )
    factors = fit_bpr(interactions, BprConfig(dimensions=2, epochs=60, regularization=0.1))
    assert np.corrcoef(factors.biases, share)[0, 1] > 0.9


def test_the_seed_decides_the_result() -> None:
    config = BprConfig(dimensions=4, epochs=2, batch=64)
    first, again = fit_bpr(_clusters(), config), fit_bpr(_clusters(), config)
    np.testing.assert_array_equal(first.users, again.users)
    other = fit_bpr(_clusters(), BprConfig(dimensions=4, epochs=2, batch=64, seed=1))
    assert not np.array_equal(first.users, other.users)


def test_a_log_without_events_gives_vectors_all_the_same() -> None:
    nothing = csr_array(np.zeros((3, 5), np.float32))
    factors = fit_bpr(nothing, BprConfig(dimensions=2, epochs=1))
    assert factors.score(np.arange(3)).shape == (3, 5)


def test_the_bound_on_pairs_cuts_passes_short() -> None:
    interactions = _clusters()
    short = fit_bpr(interactions, BprConfig(epochs=3))
    bounded = fit_bpr(interactions, BprConfig(epochs=50, most_pairs=3 * interactions.nnz))
    np.testing.assert_array_equal(short.items, bounded.items)
