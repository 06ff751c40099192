import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.errors import AgentError, DataFailed, InputInvalid
from tests.agents.data.conftest import FolderDatasets, Run

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson", "json", "ipc", "jsonl", "arrow"])
async def test_files_of_every_format(run: Run, data_root: Path, suffix: str) -> None:
    frame, path = pl.DataFrame(ROWS), data_root / f"t.{suffix}"
    write = {"csv": "write_csv", "parquet": "write_parquet", "json": "write_json"}.get(suffix)
    write = write or ("write_ndjson" if suffix in ("ndjson", "jsonl") else "write_ipc")
    getattr(frame, write)(path)
    result = await run({"source": {"path": path.name}, "operations": []})
    assert result.output["data"] == ROWS
    assert result.output["schema"] == {"a": "Int64", "b": "String"}


async def test_several_files_are_read_as_one_table(run: Run, data_root: Path) -> None:
    for month in (1, 2):
        pl.DataFrame({"month": [month]}).write_parquet(data_root / f"flights-{month}.parquet")
    result = await run({"source": {"path": "flights-*.parquet"}, "operations": []})
    assert result.output["data"] == [{"month": 1}, {"month": 2}]


async def test_csv_options(run: Run, data_root: Path) -> None:
    (data_root / "t.txt").write_text("01;NA;2013-01-01\n2;5;2013-01-02\n")
    source = {"path": "t.txt", "format": "csv", "separator": ";", "hasHeader": False, "nullValues": ["NA"]}
    operations = [{"op": "rename", "columns": {"column_0": "id", "column_1": "n", "column_2": "day"}}]
    types = {"column_0": "string", "column_2": "date"}
    result = await run({"source": {**source, "types": types}, "operations": operations})
    assert result.output["data"][0] == {"id": "01", "n": None, "day": "2013-01-01"}
    assert result.output["schema"]["day"] == "Date"


async def test_types_of_columns_that_a_file_does_not_have(run: Run, data_root: Path) -> None:
    (data_root / "t.csv").write_text("day\n2013-01-01\n")
    with pytest.raises(DataFailed, match='column "dya" not found; there are: day; did you mean "day"'):
        await run({"source": {"path": "t.csv", "types": {"dya": "date"}}, "operations": []})


async def test_a_format_that_cannot_be_told(run: Run, data_root: Path) -> None:
    (data_root / "t.dat").write_text("a\n1\n")
    with pytest.raises(InputInvalid, match='set "format" to one of csv'):
        await run({"source": {"path": "t.dat"}, "operations": []})


async def test_a_damaged_file_fails_without_naming_the_folders_of_the_machine(run: Run, data_root: Path) -> None:
    (data_root / "t.parquet").write_text("no parquet")
    with pytest.raises(DataFailed) as caught:
        await run({"source": {"path": "t.parquet"}, "operations": []})
    assert caught.value.path == "source"
    assert str(data_root) not in caught.value.message


async def test_rows_inline_with_types_for_what_is_missing(run: Run) -> None:
    source = {"rows": [], "types": {"n": "int64", "day": "date"}}
    result = await run({"source": source, "operations": [{"op": "filter", "where": "n > 1"}]})
    assert result.output["schema"] == {"n": "Int64", "day": "Date"}
    assert result.output["data"] == []


async def test_rows_of_many_shapes(run: Run) -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "e": {}}, {"b": [1, None]}, {"c": {"d": "é😀"}, "a": 2.5}]
    result = await run({"source": {"rows": rows}, "operations": []})
    assert result.output["data"][2] == {"a": 2.5, "e": None, "b": None, "c": {"d": "é😀"}}


@pytest.mark.parametrize("shape", ["rows", "output", "data only", "dataset only", "reference"])
async def test_an_input_may_be_rows_or_the_output_of_a_data_step(run: Run, shape: str) -> None:
    output = (await run({"source": {"rows": ROWS}, "operations": []})).output
    value = {
        "rows": ROWS,
        "output": output,
        "data only": {"data": ROWS},
        "dataset only": {"dataset": output["dataset"]},
        "reference": output["dataset"],
    }[shape]
    result = await run({"source": {"input": "flights"}, "operations": []}, flights=value)
    assert result.output["data"] == ROWS


async def test_a_large_result_travels_as_a_reference(run: Run, numbers_file: Path) -> None:
    load = (await run({"source": {"path": "numbers.parquet"}, "operations": []})).output
    assert "data" not in load
    count = {"op": "reduce", "aggregations": {"n": "COUNT(*)"}}
    assert (await run({"operations": [count]}, load=load)).output["data"] == [{"n": 5_000}]


async def test_without_a_source_the_input_is_found(run: Run) -> None:
    assert (await run({"operations": []}, anything=ROWS)).output["rows"] == 2
    assert (await run({"operations": []}, source=ROWS, other=5)).output["rows"] == 2
    with pytest.raises(InputInvalid, match="the inputs are: a, b"):
        await run({"operations": []}, a=ROWS, b=ROWS)
    with pytest.raises(InputInvalid, match="the inputs are: none"):
        await run({"operations": []})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "is no table"),
        ({"rows": 5}, "is no table"),
        ([1, 2], "row 0 is no JSON object"),
        ({"dataset": {"uri": "x"}}, "damaged"),
        ({"dataset": {"uri": "file:///etc/passwd", "rows": 1, "bytes": 1}}, "no dataset of this store"),
        ({"uri": "dataset:../secret", "rows": 1, "bytes": 1}, "no dataset of this store"),
    ],
)
async def test_inputs_that_are_no_tables(run: Run, datasets: FolderDatasets, value: Any, words: str) -> None:
    with pytest.raises(InputInvalid, match=words) as caught:
        await run({"source": {"input": "x"}, "operations": []}, x=value)
    assert caught.value.path == "source"
    assert datasets.staged_files() == []


async def test_a_missing_input_of_a_join_is_named_with_its_place(run: Run) -> None:
    join = {"op": "join", "with": {"input": "wether"}, "on": ["a"]}
    with pytest.raises(InputInvalid, match="there are: source, weather") as caught:
        await run({"operations": [join]}, source=ROWS, weather=ROWS)
    assert caught.value.path == "operations[0].with"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [{"x": value}]
    return value


async def test_what_is_nested_too_deep_is_refused_wherever_it_comes_from(run: Run, data_root: Path) -> None:
    fine, deep = [{"a": nested(30)}], [{"a": nested(33)}]
    (data_root / "deep.json").write_text(json.dumps(deep))
    (data_root / "deep.ndjson").write_text(json.dumps(deep[0]))
    assert (await run({"source": {"rows": fine}, "operations": []})).output["data"] == fine
    for source in ({"rows": deep}, {"path": "deep.json"}, {"path": "deep.ndjson"}, {"rows": [{"a": nested(20_000)}]}):
        with pytest.raises(AgentError, match="source: lists and objects lie more than 64 deep in each other"):
            await run({"source": source, "operations": []})
