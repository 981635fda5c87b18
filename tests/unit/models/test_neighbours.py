import numpy as np
import pytest
from scipy.sparse import csr_array

from models.neighbours import item_neighbours


@pytest.mark.parametrize("shrinkage", [0.0, 5.0])
def test_neighbours_equal_those_of_brute_force(shrinkage: float) -> None:
    rng = np.random.default_rng(0)
    dense = (rng.random((40, 12)) < 0.4) * rng.uniform(0.5, 5, (40, 12))
    expected = np.zeros((12, 12))
    for i in range(12):
        for j in range(12):
            a, b = dense[:, i], dense[:, j]
            common = int(((a > 0) & (b > 0)).sum())
            if i != j and common:
                cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
                expected[i, j] = cosine * common / (common + shrinkage)
    found = item_neighbours(csr_array(dense), shrink=shrinkage, m=4)
    for i in range(12):
        best = np.argsort(-expected[i])[:4]
        np.testing.assert_allclose(found.scores[i], expected[i, best], atol=1e-6)
        np.testing.assert_allclose(expected[i, found.rows[i]], found.scores[i], atol=1e-6)


def test_an_item_nobody_had_has_no_neighbours() -> None:
    found = item_neighbours(csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])), m=2)
    assert found.rows.tolist() == [[1, -1], [0, -1], [-1, -1]]
    assert found.scores[2].tolist() == [0.0, 0.0]
