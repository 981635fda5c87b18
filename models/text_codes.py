"""Numbers for texts, so that a column of ids takes four bytes a row however long the ids are."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class TextCodes(dict[str, int]):
    """The number of each text: 0 for the first that was asked for, 1 for the next new one.

    Columns that arrive in blocks are encoded block by block, and no more than one block's texts
    exist at any time.
    """

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self)
        return code

    def encode(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """(n,) numbers of n texts."""
        return np.fromiter(map(self.__getitem__, texts), dtype=np.int32)

    def categorical(self, codes: NDArray[np.int32]) -> pd.Categorical:
        """A column of numbers that `encode` gave, as the texts they stand for."""
        categories = pd.Index(np.array(list(self), dtype=object), dtype=object)
        return pd.Categorical.from_codes(codes, categories=categories)
