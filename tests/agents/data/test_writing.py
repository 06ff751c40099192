import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.data import writing
from agents.data.writing import FORMULA_STARTS
from agents.errors import AgentError, DataFailed, InputInvalid
from tests.agents.data.conftest import FolderDatasets, Run

ROWS: list[dict[str, Any]] = [{"k": "x", "v": 1}, {"k": "y", "v": None}]
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "parquet": pl.read_parquet,
    "ndjson": pl.read_ndjson,
    "json": pl.read_json,
    "ipc": pl.read_ipc,
}


def config(rows: list[dict[str, Any]], **sink: Any) -> dict[str, Any]:
    return {"source": {"rows": rows}, "operations": [], "sink": sink}


def left_behind(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob(".*"))


@pytest.mark.parametrize("kind", list(READERS))
async def test_a_sink_writes_the_whole_table(run: Run, data_root: Path, kind: str) -> None:
    result = await run(config(ROWS, path=f"new/folder/t.{kind}"))
    written = data_root / "new" / "folder" / f"t.{kind}"
    assert READERS[kind](written).to_dicts() == ROWS
    assert result.output["sink"] == {"path": f"new/folder/t.{kind}", "format": kind, "bytes": written.stat().st_size}
    assert left_behind(data_root) == []


async def test_json_is_one_list_also_of_nothing(run: Run, data_root: Path) -> None:
    for rows in (ROWS, [{"t": 'line\nbreak "quoted"'}], []):
        await run(config(rows, path="t.json"))
        assert json.loads((data_root / "t.json").read_text()) == rows


@pytest.mark.case(22)
async def test_formulas_become_text_in_csv(run: Run, data_root: Path) -> None:
    rows = [{"=h": "=cmd()", "n": -1}, {"=h": "+1", "n": -2}, {"=h": "@x", "n": 0}, {"=h": "a=b", "n": 1}]
    await run(config(rows, path="t.csv"))
    assert (data_root / "t.csv").read_text() == "'=h,n\n'=cmd(),-1\n'+1,-2\n'@x,0\na=b,1\n"
    await run(config(rows[:1], path="raw.csv", escapeFormulas=False))
    assert (data_root / "raw.csv").read_text() == "=h,n\n=cmd(),-1\n"


@pytest.mark.parametrize("start", FORMULA_STARTS)
async def test_no_text_begins_like_a_formula(run: Run, data_root: Path, start: str) -> None:
    await run(config([{f"{start}a": f"{start}1", "safe": f" {start}"}], path="t.csv"))
    with (data_root / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [[f"'{start}a", "safe"], [f"'{start}1", f" {start}"]]


async def test_an_old_file_is_replaced_or_kept(run: Run, data_root: Path) -> None:
    (data_root / "t.csv").write_text("old")
    with pytest.raises(DataFailed, match="exists"):
        await run(config(ROWS, path="t.csv", ifExists="fail"))
    assert (data_root / "t.csv").read_text() == "old"
    await run(config(ROWS, path="t.csv"))
    assert (data_root / "t.csv").read_text() == "k,v\nx,1\ny,\n"


async def test_a_failure_leaves_the_old_file_and_nothing_half_written(
    run: Run, data_root: Path, datasets: FolderDatasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data_root / "t.csv").write_text("old")

    def full_disk(path: Path) -> int:
        assert path.exists()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(writing, "_sync", full_disk)
    with pytest.raises(DataFailed, match="No space left on device") as caught:
        await run(config(ROWS, path="t.csv"))
    assert (caught.value.path, str(data_root) in caught.value.message) == ("sink", False)
    assert (data_root / "t.csv").read_text() == "old"
    assert left_behind(data_root) == []
    assert list(datasets.folder.iterdir()) == []


async def test_nested_columns_do_not_fit_into_csv(run: Run, data_root: Path) -> None:
    with pytest.raises(DataFailed, match="CSV has no place for the lists or objects in a; write json or parquet"):
        await run(config([{"a": [1]}], path="t.csv"))
    assert left_behind(data_root) == []
    assert not (data_root / "t.csv").exists()


async def test_partitions_are_written_replaced_and_read_back(run: Run, data_root: Path) -> None:
    rows = [{"k": "x", "v": 1}, {"k": "y", "v": 2}]
    await run(config([{"k": "old", "v": 0}], path="parts", partitionBy=["k"]))
    await run(config(rows, path="parts", partitionBy=["k"]))
    assert sorted(file.name for file in (data_root / "parts").iterdir()) == ["k=x", "k=y"]
    assert left_behind(data_root) == []
    read = await run({"source": {"path": "parts"}, "operations": [{"op": "sort", "by": ["v"]}]})
    assert [row["k"] for row in read.output["data"]] == ["x", "y"]


@pytest.mark.parametrize("path", [".", "./", "there/."])
async def test_a_folder_with_other_files_in_it_is_left_alone(run: Run, data_root: Path, path: str) -> None:
    (data_root / "there").mkdir()
    for kept in ("kept.csv", "there/kept.parquet"):
        (data_root / kept).write_text("kept")
    for sink in ({"partitionBy": ["k"]}, {"format": "parquet"}, {"format": "csv"}):
        for place in (path, str(data_root / path)):
            with pytest.raises(AgentError, match=r"is the data root itself|is a folder in which other files lie"):
                await run(config(ROWS, path=place, **sink))
    assert [sorted(os.listdir(data_root / folder)) for folder in (".", "there")] == [
        ["kept.csv", "there"],
        ["kept.parquet"],
    ]


async def test_partitions_by_an_unknown_column(run: Run) -> None:
    with pytest.raises(DataFailed, match='column "z" not found') as caught:
        await run(config(ROWS, path="parts", partitionBy=["z"]))
    assert caught.value.path == "sink.partitionBy"


async def test_a_sink_outside_the_roots_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputInvalid, match="outside the data roots"):
        await run(config(ROWS, path=str(tmp_path / "t.csv")))
    assert not (tmp_path / "t.csv").exists()
