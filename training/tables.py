"""Reads CSV and Parquet files as columns of text, and checks them. Every fault names its line."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

MAX_ID_LENGTH = 128


class DataError(Exception):
    """A file of the log is broken. One line: file, line number, field, reason."""

    def __init__(self, path: Path, reason: str, line: int | None = None) -> None:
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {reason}")


class Table:
    """A file's columns as text (`str` objects, empty for a missing value), and its line numbers.

    Args:
        path: a `.csv` or `.parquet` file.
        required: columns it must have.
        optional: columns it may have; absent ones read as empty.

    Raises:
        DataError: the file is missing, empty, not UTF-8, ragged, or lacks a column.
    """

    def __init__(self, path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(path, "no such file")
        self._frame = _read(path, [*required, *optional])
        for name in required:
            if name not in self._frame.columns:
                raise DataError(path, f"column {name} is missing", 1)
        if self._frame.empty:
            raise DataError(path, "holds no rows", 1)

    def __len__(self) -> int:
        return len(self._frame)

    def text(self, name: str) -> "pd.Series[str]":
        """A column as text, stripped; empty where the file has none."""
        if name not in self._frame.columns:
            return pd.Series("", index=self._frame.index, dtype=object)
        column = self._frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            return column.astype(object).fillna("")
        return column.fillna("")

    def ids(self, name: str) -> "pd.Series[str]":
        """A column of ids: 1 to 128 characters each."""
        column = self.text(name)
        lengths = column.str.len()
        self.refuse(name, lengths == 0, lambda _: "must not be empty")
        self.refuse(
            name,
            lengths > MAX_ID_LENGTH,
            lambda text: f"has {len(text)} characters, at most {MAX_ID_LENGTH} are allowed",
        )
        return column

    def numbers(self, name: str, empty: float | None = None) -> "pd.Series[float]":
        """A column of finite numbers, >= 0.

        Args:
            empty: what an empty field stands for; None refuses it.
        """
        text = self.text(name)
        numbers = pd.to_numeric(text.where(text != "", math.nan), errors="coerce").astype(float)
        if empty is not None:
            numbers = numbers.where(text != "", empty)
        self.refuse(name, ~np.isfinite(numbers), lambda text: f"{text!r} is not a finite number")
        self.refuse(name, numbers < 0, lambda text: f"{text} must not be negative")
        return numbers

    def times(self, name: str) -> "pd.Series[float]":
        """A column of moments, in Unix seconds; the file has those or ISO 8601."""
        text = self.text(name)
        seconds = pd.to_numeric(text, errors="coerce").astype(float)
        iso = seconds.isna().to_numpy()
        if iso.any():
            moments = pd.to_datetime(text[iso], format="ISO8601", utc=True, errors="coerce")
            parsed = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
            seconds[iso] = parsed.to_numpy(dtype=float)
        self.refuse(
            name,
            ~np.isfinite(seconds),
            lambda text: f"{text!r} is neither Unix seconds nor ISO 8601",
        )
        self.refuse(name, seconds < 0, lambda text: f"{text} lies before 1970")
        return seconds

    def flags(self, name: str, empty: bool) -> "pd.Series[bool]":
        """A column of true and false; empty fields stand for `empty`."""
        text = self.text(name).str.lower()
        known = {"true": True, "1": True, "false": False, "0": False, "": empty}
        flags = text.map(known)
        self.refuse(name, flags.isna(), lambda text: f"{text!r} is neither true nor false")
        return flags.astype(bool)

    def duplicates(self) -> "pd.Series[bool]":
        """Rows that equal an earlier one in every column."""
        return self._frame.duplicated()

    def refuse(
        self, name: str, bad: "pd.Series[bool] | NDArray[np.bool_]", reason: Callable[[str], str]
    ) -> None:
        """Raises for the first bad row, if there is one.

        Args:
            name: the field at fault.
            bad: mask of bad rows.
            reason: says what is wrong, from the field's text.
        """
        if bad.any():
            row = int(np.argmax(np.asarray(bad)))
            raise DataError(
                self.path, f"{name}: {reason(str(self.text(name).iloc[row]))}", self.line(row)
            )

    def line(self, row: int) -> int:
        """Line number of a row; the header is line 1."""
        return row + 2


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return _read_parquet(path, columns)
    if path.stat().st_size == 0:
        raise DataError(path, "is empty", 1)
    header = _header(path)
    present = [name for name in columns if name in header]
    try:
        table = pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=header, skip_rows=1),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                include_columns=present,
                column_types=dict.fromkeys(present, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        raise _fault(path, len(header)) from None
    frame: pd.DataFrame = table.to_pandas(strings_to_categorical=len(table) > 1_000_000)
    return frame


def _read_parquet(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        names = pa.parquet.read_schema(path).names
        present = [name for name in columns if name in names]
        frame: pd.DataFrame = pa.parquet.read_table(path, columns=present).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(path, f"is not a Parquet file: {str(error).splitlines()[0]}") from None
    as_text: pd.DataFrame = frame.apply(lambda column: column.map(_as_text))
    return as_text


def _as_text(value: object) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return "|".join(str(part) for part in value)
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        first = file.readline()
    try:
        text = first.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(path, "is not UTF-8", 1) from None
    return [name.strip() for name in next(csv.reader([text]), [])]


def _fault(path: Path, width: int) -> DataError:
    """Finds the first line that a fast parser refused, slowly."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                return DataError(path, "is not UTF-8", number)
    with path.open(encoding="utf-8", newline="") as text:
        reader = csv.reader(text)
        for row in reader:
            if row and len(row) != width:
                return DataError(
                    path, f"has {len(row)} fields, the header names {width}", reader.line_num
                )
    return DataError(path, "cannot be parsed")
