"""Reads one input table, CSV or Parquet, and says exactly what is wrong with a broken one.

The rule: a missing column, bad encoding, an empty file or a field that cannot be read refuses the
whole file, naming the first bad line. Exact duplicate rows are left out and reported.

A file is read in blocks, whose columns are converted at once. Texts become numbers as they come,
so a row costs the bytes of a few numbers. Only when a conversion fails is the file walked line by
line.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from models.text_codes import TextCodes
from training.data import DataError
from training.fields import Field

BLOCK_BYTES = 16 << 20
_BYTES_A_ROW = 16  # about, in Parquet, whose blocks are counted in rows


def read_table(path: Path, fields: Sequence[Field], block_bytes: int = BLOCK_BYTES) -> pd.DataFrame:
    """Reads the fields of a table; other columns are ignored, optional missing ones left out.

    Args:
        path: a `.csv` or `.parquet` file.
        fields: the columns to read.
        block_bytes: how much of the file is read at a time; no record may be longer.

    Returns:
        One column a field, in file order: texts and ids categorical, numbers float64, kinds int8.

    Raises:
        DataError: the table is missing or broken; names file, line (row, in Parquet), field.
    """
    header = read_header(path)
    for wanted in fields:
        if wanted.required and wanted.name not in header:
            raise DataError(path, "column is missing", line=1, field=wanted.name)
    present = [wanted for wanted in fields if wanted.name in header]
    columns = [_Column(field) for field in present]
    try:
        blocks = _parquet_blocks if path.suffix == ".parquet" else _csv_blocks
        for block in blocks(path, present, block_bytes):
            for column in columns:
                column.add(block[column.field.name])
    except (pa.ArrowException, ValueError) as error:
        _diagnose(path, present, header)
        raise DataError(path, " ".join(str(error).split())) from None
    frame = pd.DataFrame({column.field.name: column.take() for column in columns}, copy=False)
    if frame.empty:
        raise DataError(path, "holds no rows", line=1)
    return frame


def read_header(path: Path) -> list[str]:
    """Names of a table's columns.

    Raises:
        DataError: no such file, or an empty one.
    """
    try:
        if path.suffix == ".parquet":
            return list(pa_parquet.read_schema(path).names)
        for _line, texts in _records(path):
            if _broken_text(texts) is not None:
                raise DataError(path, "is not UTF-8", line=1)
            return [text.strip() for text in texts]
    except FileNotFoundError:
        raise DataError(path, "no such file") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(path, " ".join(str(error).split())) from None
    raise DataError(path, "is empty", line=1)


def line_numbers(path: Path, rows: NDArray[np.int64]) -> list[int]:
    """Lines of a CSV file, the header being line 1, at which the records `rows` (ascending) end.

    For Parquet: row numbers from 1.
    """
    if path.suffix == ".parquet":
        return [int(row) + 1 for row in rows]
    wanted = set(rows.tolist())
    lines = []
    for number, (line, _texts) in enumerate(_records(path), start=-1):
        if number in wanted:
            lines.append(line)
            if len(lines) == len(wanted):
                break
    return lines


class _Column:
    """A column that comes in blocks."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._codes = TextCodes()
        self._is_text = False
        self._parts: list[NDArray[Any]] = []

    def add(self, texts: Any) -> None:
        """Converts and keeps a block (pyarrow string array)."""
        part = self.field.convert(pc.utf8_trim_whitespace(texts))
        if pa.types.is_dictionary(part.type):
            self._is_text = True
            codes = self._codes.encode(part.dictionary.to_pylist())
            self._parts.append(codes[part.indices.to_numpy()])
        else:
            self._parts.append(part.to_numpy(zero_copy_only=False))

    def take(self) -> NDArray[Any] | pd.Categorical:
        """The whole column; its blocks are let go, so that two copies of one column is the most
        that ever exists."""
        whole: NDArray[Any] = np.concatenate(self._parts) if self._parts else np.empty(0)
        self._parts.clear()
        return self._codes.categorical(whole) if self._is_text else whole


def _csv_blocks(path: Path, fields: Sequence[Field], block_bytes: int) -> Iterator[Any]:
    names = [field.name for field in fields]
    with pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=block_bytes, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
        ),
    ) as reader:
        yield from reader


def _parquet_blocks(path: Path, fields: Sequence[Field], block_bytes: int) -> Iterator[Any]:
    file = pa_parquet.ParquetFile(path)
    names = [field.name for field in fields]
    for batch in file.iter_batches(batch_size=max(block_bytes // _BYTES_A_ROW, 1), columns=names):
        texts = [_as_text(batch.column(name)) for name in names]
        yield pa.RecordBatch.from_arrays(texts, names=names)


def _as_text(column: Any) -> Any:
    if pa.types.is_timestamp(column.type):
        column = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()), 1e6)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.binary_join(pc.cast(column, pa.list_(pa.string())), "|")
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Bytes that are not UTF-8 become lone surrogates, which `_diagnose` finds.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        for texts in reader:
            if texts:
                yield reader.line_num, texts


def _diagnose(path: Path, fields: Sequence[Field], header: list[str]) -> None:
    if path.suffix == ".parquet":
        for row, values in enumerate(_parquet_records(path, fields), start=1):
            _check(path, row, fields, values)
        return
    place = [header.index(field.name) for field in fields]
    records = _records(path)
    next(records)
    for line, texts in records:
        broken = _broken_text(texts)
        if broken is not None:
            name = header[broken] if broken < len(header) else None
            raise DataError(path, "is not UTF-8", line=line, field=name)
        if len(texts) != len(header):
            raise DataError(
                path, f"has {len(texts)} fields, the header names {len(header)}", line=line
            )
        _check(path, line, fields, [texts[i] for i in place])


def _broken_text(texts: Sequence[str]) -> int | None:
    """Position of the first text with bytes that are not UTF-8."""
    for place, text in enumerate(texts):
        if any("\udc80" <= letter <= "\udcff" for letter in text):
            return place
    return None


def _check(path: Path, line: int, fields: Sequence[Field], texts: Sequence[str]) -> None:
    for field, text in zip(fields, texts, strict=True):
        reason = field.check(text.strip())
        if reason:
            raise DataError(path, reason, line=line, field=field.name)


def _parquet_records(path: Path, fields: Sequence[Field]) -> Iterator[tuple[str, ...]]:
    for block in _parquet_blocks(path, fields, BLOCK_BYTES):
        yield from zip(*(column.to_pylist() for column in block.columns), strict=True)
