import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.data import excel
from agents.errors import DataFailed, InputInvalid, LimitExceeded
from tests.agents.data.conftest import Run

MIXED = pl.DataFrame(
    {
        "n": [1, None, -3],
        "x": [1.5, 2.25, None],
        "t": ["=1+1", "https://example.com", "ä"],
        "yes": [True, None, False],
        "day": [dt.date(2013, 1, 2), None, dt.date(2020, 2, 29)],
        "at": [dt.datetime(2013, 1, 2, 10, 30, 5), None, dt.datetime(2020, 2, 29)],  # noqa: DTZ001 - Excel has no zones
    }
)


@pytest.fixture
def workbook(data_root: Path) -> Path:
    MIXED.write_parquet(data_root / "mixed.parquet")
    with new_workbook(data_root / "book.xlsx") as book:
        for name, start in (("first", 0), ("second", 10)):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["a", "b"])
            sheet.write_row(1, 0, [start, f"row {start}"])
    return data_root / "book.xlsx"


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def new_workbook(path: Path) -> Any:
    return excel.xlsxwriter.Workbook(str(path))


async def test_what_is_written_is_read_again(run: Run, workbook: Path, data_root: Path) -> None:
    await run({"source": {"path": "mixed.parquet"}, "operations": [], "sink": {"path": "out.xlsx"}})
    output = (await run({"source": {"path": "out.xlsx"}, "operations": []})).output
    assert [row["t"] for row in output["data"]] == ["=1+1", "https://example.com", "ä"]
    assert [row["n"] for row in output["data"]] == [1, None, -3]
    assert [row["day"] for row in output["data"]] == ["2013-01-02", None, "2020-02-29"]
    assert output["data"][0]["at"] == "2013-01-02T10:30:05"
    assert output["schema"]["yes"] == "Boolean"
    with zipfile.ZipFile(data_root / "out.xlsx") as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert b"hyperlink" not in sheet


async def test_a_sheet_is_named_or_numbered(run: Run, workbook: Path) -> None:
    for sheet, value in ((None, 0), ("second", 10), (2, 10), (1, 0)):
        source = {"path": "book.xlsx"} | ({} if sheet is None else {"sheet": sheet})
        assert (await run({"source": source, "operations": []})).output["data"] == [{"a": value, "b": f"row {value}"}]
    for missing in ("third", 3, 0):
        with pytest.raises(InputInvalid, match="there are: first, second"):
            await run({"source": {"path": "book.xlsx", "sheet": missing}, "operations": []})


async def test_what_is_no_workbook(run: Run, workbook: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data_root / "text.xlsx").write_text("a,b")
    with workbook.open("rb") as file, (data_root / "half.xlsx").open("wb") as half:
        half.write(file.read()[:-200])
    for name in ("text.xlsx", "half.xlsx"):
        with pytest.raises(InputInvalid, match="Excel file cannot be read"):
            await run({"source": {"path": name}, "operations": []})
    monkeypatch.setattr(excel, "MAX_UNPACKED", 1_000)
    with pytest.raises(LimitExceeded, match="unpacks to"):
        await run({"source": {"path": "book.xlsx"}, "operations": []})


async def test_what_excel_cannot_hold_is_not_cut(run: Run, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"source": {"rows": [{"t": "x" * 40_000}]}, "operations": [], "sink": {"path": "out.xlsx"}}
    with pytest.raises(DataFailed, match="32767 characters"):
        await run(config)
    monkeypatch.setattr(excel, "MAX_ROWS", 3)
    rows = [{"a": number} for number in range(3)]
    with pytest.raises(DataFailed, match="an Excel sheet holds 2 rows"):
        await run({"source": {"rows": rows}, "operations": [], "sink": {"path": "out.xlsx"}})
    assert files_in(data_root) == []
