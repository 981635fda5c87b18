from itertools import pairwise

import numpy as np

from models.transitions import factorize, transition_affinity, transition_counts


def test_counts_equal_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    lengths = [7, 0, 1, 12]
    rows = rng.integers(0, 6, sum(lengths)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    expected = np.zeros((6, 6))
    for begin, end in pairwise(offsets):
        for i in range(begin, end):
            for j in range(i + 1, min(i + 4, end)):
                if rows[i] != rows[j]:
                    expected[rows[i], rows[j]] += 0.5 ** (j - i - 1)
    found = transition_counts(rows, offsets, 6, lags=3, decay=0.5)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)


def test_affinity_is_the_root_of_smoothed_row_probability() -> None:
    counts = transition_counts(np.array([0, 1, 0, 1], np.int32), np.array([0, 2, 4]), 3)
    np.testing.assert_allclose(
        transition_affinity(counts).toarray(), [[0, (2 / 7) ** 0.5, 0], [0] * 3, [0] * 3]
    )


def test_full_rank_factors_give_the_affinity_back() -> None:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 8, 200).astype(np.int32)
    affinity = transition_affinity(transition_counts(rows, np.array([0, 200]), 8))
    factors = factorize(affinity, 12, seed=0)
    assert factors.context.shape == factors.target.shape == (8, 12)
    np.testing.assert_allclose(factors.context @ factors.target.T, affinity.toarray(), atol=1e-5)


def test_truncation_is_as_good_as_exact_svd() -> None:
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 60, 4000).astype(np.int32)
    affinity = transition_affinity(transition_counts(rows, np.array([0, 4000]), 60))
    factors = factorize(affinity, 10, seed=0)
    sigma = np.linalg.svd(affinity.toarray(), compute_uv=False)
    error = np.linalg.norm(affinity.toarray() - factors.context @ factors.target.T)
    assert error < 1.01 * np.linalg.norm(sigma[10:])
