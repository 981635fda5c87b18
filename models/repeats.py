"""Which of many rows have a twin, found in little memory."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def repeated(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(n,) whether another row has the same key.

    Sorts a copy of the keys, which takes 8 bytes a row; a hash table of them takes about thirty.
    """
    ordered = np.sort(keys)
    twins = pd.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twins):
        return np.zeros(len(keys), dtype=np.bool_)
    return pd.Series(keys, copy=False).isin(twins).to_numpy()
