"""Neighbours as recommenders: histories to scores of all items.

Both sum rather than average. An average would rank an item by its single nearest neighbour as high
as one that many neighbours agree on; for ranking that loses, for guessing a rating it is right.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.neighbours.search import Neighbours


def item_scores(histories: csr_array, neighbours: Neighbours) -> NDArray[np.float32]:
    """Sums, over the items of each history, weight times similarity to each of their neighbours.

    Args:
        histories: (q, n) weights of the items that q users had; ones count all alike.
        neighbours: of all n items.

    Returns:
        (q, n), dense: ask for blocks of users.
    """
    n = histories.shape[1]
    scores: NDArray[np.float32] = (histories.astype(np.float32) @ neighbours.matrix(n)).toarray()
    return scores


def user_scores(neighbours: Neighbours, utility: csr_array) -> NDArray[np.float32]:
    """Sums, over the neighbours of each user, similarity times what they got out of each item.

    Args:
        neighbours: of q users, among the rows of `utility`.
        utility: (users, n) what users got out of items.

    Returns:
        (q, n), dense: ask for blocks of users.
    """
    n_users = utility.shape[0]
    scores: NDArray[np.float32] = (
        neighbours.matrix(n_users) @ utility.astype(np.float32)
    ).toarray()
    return scores
