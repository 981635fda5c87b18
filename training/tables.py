"""Reads one input table, CSV or Parquet, and says exactly what is wrong with a broken one.

The rule: a missing column, bad encoding, an empty file or a field that cannot be read refuses the
whole file, naming the first bad line. Exact duplicate rows are left out and reported.

Whole columns are converted at once. Only when that fails is the file walked line by line.
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

from training.data import DataError
from training.fields import Field

_BLOCK_BYTES = 16 << 20


def read_table(path: Path, fields: Sequence[Field]) -> pd.DataFrame:
    """Reads the fields of a table; other columns are ignored, optional missing ones left out.

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
    try:
        blocks = _parquet_blocks if path.suffix == ".parquet" else _csv_blocks
        tables = [_convert(block, present) for block in blocks(path, present)]
        table = pa.concat_tables(tables).unify_dictionaries() if tables else pa.table({})
    except (pa.ArrowException, ValueError) as error:
        _diagnose(path, present, header)
        raise DataError(path, " ".join(str(error).split())) from None
    if not len(table):
        raise DataError(path, "holds no rows", line=1)
    frame: pd.DataFrame = table.to_pandas()
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


def _csv_blocks(path: Path, fields: Sequence[Field]) -> Iterator[Any]:
    names = [field.name for field in fields]
    with pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
        ),
    ) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _parquet_blocks(path: Path, fields: Sequence[Field]) -> Iterator[Any]:
    file = pa_parquet.ParquetFile(path)
    for batch in file.iter_batches(batch_size=1 << 20, columns=[field.name for field in fields]):
        texts = [_as_text(column) for column in batch.columns]
        yield pa.Table.from_arrays(texts, names=batch.schema.names)


def _as_text(column: Any) -> Any:
    if pa.types.is_timestamp(column.type):
        column = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()), 1e6)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.binary_join(pc.cast(column, pa.list_(pa.string())), "|")
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _convert(block: Any, fields: Sequence[Field]) -> Any:
    columns = []
    for field in fields:
        trimmed = pc.utf8_trim_whitespace(block[field.name].combine_chunks())
        columns.append(field.convert(trimmed))
    return pa.table(columns, names=[field.name for field in fields])


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Bytes that are not UTF-8 become lone surrogates, which `_diagnose` finds.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        for texts in reader:
            if texts:
                yield reader.line_num, texts


def _diagnose(path: Path, fields: Sequence[Field], header: list[str]) -> None:
    if path.suffix == ".parquet":
        columns = [_parquet_column(path, field.name) for field in fields]
        for row, values in enumerate(zip(*columns, strict=True), start=1):
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


def _parquet_column(path: Path, name: str) -> list[str]:
    table = pa_parquet.read_table(path, columns=[name])
    texts: list[str] = _as_text(table[name].combine_chunks()).to_pylist()
    return texts
