"""Neighbours as recommenders: histories to scores of all items.

Both sum rather than average. An average would rank an item by its single nearest neighbour as high
as one that many neighbours agree on; for ranking that loses, for guessing a rating it is right.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.neighbours.search import Neighbours


def item_scores(histories: csr_array, neighbours: Neighbours) -> NDArray[np.float32]:
    """For each item, sums weight times similarity over those of its neighbours that the history
    holds.

    The neighbours are those of the item scored (Sarwar et al.), not of the item in the history
    (Deshpande and Karypis). The other way round, rare items of a history fill the list: each names
    as many neighbours as a popular one, and few others vouch for them.

    Args:
        histories: (q, n) weights of the items that q users had; ones count all alike.
        neighbours: of all n items.

    Returns:
        (q, n), dense: ask for blocks of users.
    """
    near = neighbours.matrix(histories.shape[1])
    scores: NDArray[np.float32] = (histories.astype(np.float32) @ near.T).toarray()
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
