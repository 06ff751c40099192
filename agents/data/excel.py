"""Excel files: a sheet read at once, rows written one after another."""

import datetime as dt
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastexcel
import polars as pl
import xlsxwriter

from agents.data.failures import OperationRefused
from agents.data.formats import Reading
from agents.data.suggestions import listed
from agents.errors import InputInvalid, LimitExceeded

MAX_UNPACKED = 1 * 2**30
"""An Excel file is a ZIP archive, which may hold a thousand times what it weighs; a sheet is read at once."""
MAX_ROWS, MAX_COLUMNS, MAX_TEXT = 1_048_576, 16_384, 32_767
"""Excel's own limits."""
BATCH_ROWS = 10_000
FIRST_YEAR = 1900


def read_sheet(file: Path, reading: Reading) -> pl.DataFrame:
    """The rows of the sheet that `reading` names, else of the first. Raises `InputInvalid` or `LimitExceeded`."""
    try:
        _refuse_bomb(file)
        book = fastexcel.read_excel(file)
        sheet = _sheet(book.sheet_names, reading.sheet)
        loaded = book.load_sheet(sheet, header_row=0 if reading.has_header else None)
        return _with_dates(loaded.to_polars())
    except (fastexcel.FastExcelError, zipfile.BadZipFile) as error:
        message = f"the Excel file cannot be read: {str(error).partition(chr(10))[0][:300]}"
        raise InputInvalid(message) from error


def _with_dates(frame: pl.DataFrame) -> pl.DataFrame:
    """Excel has moments only: a column of midnights is one of dates."""
    moments = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    dates = [name for name in moments if (frame[name].dt.truncate("1d") == frame[name]).all()]
    return frame.with_columns(pl.col(dates).cast(pl.Date()))


def _sheet(names: list[str], wanted: str | int | None) -> str:
    if wanted is None:
        return names[0]
    if isinstance(wanted, int) and 0 < wanted <= len(names):
        return names[wanted - 1]
    if wanted not in names:
        raise InputInvalid(f"the file has no sheet {wanted!r}; there are: {listed(names)}")
    return str(wanted)


def _refuse_bomb(file: Path) -> None:
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_UNPACKED:
        message = f"the Excel file unpacks to {size // 2**20} MiB; at most {MAX_UNPACKED // 2**20} are read"
        raise LimitExceeded(message, code="MEMORY_LIMIT")


def write_workbook(frame: pl.LazyFrame, path: Path) -> None:
    """One sheet with a header; texts are never formulas or links. Raises `OperationRefused` for what does not fit."""
    schema = frame.collect_schema()
    rows = int(frame.select(pl.len()).collect().item())
    if rows >= MAX_ROWS or len(schema) > MAX_COLUMNS:
        message = f"an Excel sheet holds {MAX_ROWS - 1} rows and {MAX_COLUMNS} columns; these are {rows}, {len(schema)}"
        raise OperationRefused(message)
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "nan_inf_to_errors": True,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet()
        formats = [_format(book, dtype) for dtype in schema.values()]
        bold = book.add_format({"bold": True})
        for column, name in enumerate(schema):
            sheet.write_string(0, column, _short_enough(name), bold)
        sheet.freeze_panes(1, 0)
        batches = frame.collect_batches(chunk_size=BATCH_ROWS)
        for number, row in enumerate((row for batch in batches for row in batch.iter_rows()), 1):
            for column, value in enumerate(row):
                _write(sheet, number, column, value, formats[column])


def _format(book: Any, dtype: pl.DataType) -> Any:
    match dtype:
        case pl.Date():
            return book.add_format({"num_format": "yyyy-mm-dd"})
        case pl.Datetime():
            return book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        case pl.Time():
            return book.add_format({"num_format": "hh:mm:ss"})
        case _:
            return None


def _write(sheet: Any, row: int, column: int, value: Any, shape: Any) -> None:
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(row, column, value)
        case int() if abs(value) < 2**53:
            sheet.write_number(row, column, value)
        case float() | Decimal():
            sheet.write_number(row, column, value)
        case dt.datetime() | dt.time() if _fits(value):
            sheet.write_datetime(row, column, value.replace(tzinfo=None), shape)
        case dt.date() if _fits(value):
            sheet.write_datetime(row, column, value, shape)
        case _:
            sheet.write_string(row, column, _short_enough(str(value)))


def _short_enough(text: str) -> str:
    if len(text) > MAX_TEXT:
        message = (
            f"an Excel cell holds {MAX_TEXT} characters, a text has {len(text)}; cut it with LEFT(column, {MAX_TEXT})"
        )
        raise OperationRefused(message)
    return text


def _fits(value: dt.datetime | dt.date | dt.time) -> bool:
    """Excel's calendar begins in 1900; what is before it is written as text."""
    return isinstance(value, dt.time) or value.year >= FIRST_YEAR
