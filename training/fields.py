"""The kinds of fields in input tables: how a text is checked, and how a column is converted.

`check` judges one text and names the reason; `convert` does whole columns at once, and raises
`ValueError` when any text would not pass `check`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from models.events import EventKind

MAX_ID_LENGTH = 128
_MAX_TIME = 1e11  # beyond it a number is milliseconds, not seconds


@dataclass(frozen=True)
class Field(ABC):
    """A column of an input table."""

    name: str
    required: bool = True

    @abstractmethod
    def check(self, text: str) -> str | None:
        """Why the text is refused; None when it is good."""

    @abstractmethod
    def convert(self, column: Any) -> Any:
        """A column of trimmed texts (pyarrow string array) as a pyarrow array of the field's type.

        Raises:
            ValueError: some text is not good.
        """


@dataclass(frozen=True)
class Text(Field):
    """Free text; may be empty."""

    def check(self, text: str) -> str | None:
        return None

    def convert(self, column: Any) -> Any:
        return pc.dictionary_encode(column)


@dataclass(frozen=True)
class Identifier(Field):
    """An opaque id of 1 to 128 characters."""

    def check(self, text: str) -> str | None:
        if not text:
            return "is empty"
        if len(text) > MAX_ID_LENGTH:
            return f"is longer than {MAX_ID_LENGTH} characters"
        return None

    def convert(self, column: Any) -> Any:
        encoded = pc.dictionary_encode(column)
        if any(self.check(text) for text in encoded.dictionary.to_pylist()):
            raise ValueError(self.name)
        return encoded


@dataclass(frozen=True)
class Number(Field):
    """A finite number from 0 to `high`; empty means zero when the field allows it."""

    may_be_empty: bool = False
    high: float = math.inf

    def check(self, text: str) -> str | None:
        if not text and self.may_be_empty:
            return None
        try:
            value = float(text)
        except ValueError:
            return f"{text!r} is not a number"
        if not math.isfinite(value):
            return f"{text!r} is not finite"
        return None if 0 <= value <= self.high else f"{text} is not within 0 and {self.high:g}"

    def convert(self, column: Any) -> Any:
        if self.may_be_empty:
            column = pc.if_else(pc.equal(column, ""), "0", column)
        values = pc.cast(column, pa.float64())
        numbers = values.to_numpy(zero_copy_only=False)
        if not (np.isfinite(numbers) & (numbers >= 0) & (numbers <= self.high)).all():
            raise ValueError(self.name)
        return values


@dataclass(frozen=True)
class Time(Field):
    """Unix seconds, or ISO 8601 (UTC unless it says otherwise); empty means 0 when allowed."""

    may_be_empty: bool = False

    def check(self, text: str) -> str | None:
        if not text and self.may_be_empty:
            return None
        try:
            seconds = float(text)
        except ValueError:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                return f"{text!r} is neither Unix seconds nor ISO 8601"
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if not 0 <= seconds < _MAX_TIME:
            return f"{text!r} is not a time in Unix seconds"
        return None

    def convert(self, column: Any) -> Any:
        if self.may_be_empty:
            column = pc.if_else(pc.equal(column, ""), "0", column)
        try:
            seconds = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            seconds = _mixed_times(column.to_pandas())
        if not ((seconds >= 0) & (seconds < _MAX_TIME)).all():
            raise ValueError(self.name)
        return pa.array(seconds)


@dataclass(frozen=True)
class Kind(Field):
    """The name of an event kind, in any case."""

    def check(self, text: str) -> str | None:
        try:
            EventKind.parse(text)
        except ValueError as error:
            return str(error)
        return None

    def convert(self, column: Any) -> Any:
        encoded = pc.dictionary_encode(column)
        kinds = [int(EventKind.parse(text)) for text in encoded.dictionary.to_pylist()]
        return pc.take(pa.array(kinds, type=pa.int8()), encoded.indices)


@dataclass(frozen=True)
class Flag(Field):
    """true or false, in any case; empty means the default."""

    default: bool = False

    def check(self, text: str) -> str | None:
        known = text.lower() in ("", "true", "false", "1", "0")
        return None if known else f"{text!r} is neither true nor false"

    def convert(self, column: Any) -> Any:
        texts = pc.utf8_lower(column)
        true = pc.is_in(texts, pa.array(["true", "1"]))
        false = pc.is_in(texts, pa.array(["false", "0"]))
        empty = pc.equal(texts, "")
        if not pc.all(pc.or_(pc.or_(true, false), empty)).as_py() and len(texts):
            raise ValueError(self.name)
        return pc.or_(true, empty) if self.default else true


def _mixed_times(texts: "pd.Series[str]") -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    seconds = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    other = np.isnan(seconds)
    moments = pd.to_datetime(texts[other], utc=True, format="ISO8601", errors="raise")
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    seconds[other] = (moments - epoch).dt.total_seconds().to_numpy()
    return seconds
