"""Queries read what they need of a file, and hold no more of it than fits."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.context import AgentContext
from agents.data.config import parse_config
from agents.data.planning import make_plan
from agents.data.reading import SourceReader
from agents.data.stopping import StopSignal
from tests.agents.data.conftest import Run
from tests.agents.data.memory_program import LIMIT_BYTES, ROWS, write_large_file

BYTES_OF_A_ROW = 4 * 8


def plan_of(context: AgentContext, *operations: dict[str, Any], source: dict[str, Any] | None = None) -> str:
    """How Polars would run them."""
    config = parse_config({"source": source or {"path": "wide.parquet"}, "operations": list(operations)})
    reader = SourceReader(inputs={}, context=context, remote=None, stop=StopSignal())  # type: ignore[arg-type] # no URL
    return make_plan(config, reader, StopSignal()).frame.explain(engine="streaming")


@pytest.fixture
def wide(data_root: Path) -> Path:
    frame = pl.DataFrame({name: range(100) for name in "abcdefgh"})
    frame.write_parquet(data_root / "wide.parquet")
    frame.write_csv(data_root / "wide.csv")
    return data_root


@pytest.mark.parametrize("file", ["wide.parquet", "wide.csv"])
def test_columns_and_rows_are_chosen_while_the_file_is_read(context: AgentContext, wide: Path, file: str) -> None:
    explained = plan_of(
        context,
        {"op": "map", "columns": {"sum": "a + b"}},
        {"op": "filter", "where": "c > 90"},
        {"op": "join", "with": {"rows": [{"a": 1}]}, "how": "semi", "on": ["a"]},
        {"op": "select", "columns": ["a", "sum"]},
        {"op": "group", "by": ["a"], "aggregations": {"s": "SUM(sum)"}},
        source={"path": file},
    )
    scan = explained[explained.index("SCAN" if "SCAN" in explained else "Scan") :]
    assert re.search(r"PROJECT 3/8 COLUMNS", scan), explained
    assert re.search(r'SELECTION: .*col\("c"\).* > .*90', scan), explained


def test_a_limit_ends_the_reading(context: AgentContext, wide: Path) -> None:
    assert "SLICE" in plan_of(context, {"op": "limit", "rows": 3})


async def test_a_step_collects_or_sinks_once(run: Run, wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is written by one query over the source; what else is read is the result's own file."""
    queries: list[str] = []

    def counted(name: str) -> None:
        original = getattr(pl.LazyFrame, name)

        def query(self: pl.LazyFrame, *args: Any, **options: Any) -> Any:
            plan = self.explain()
            if "wide.parquet" in plan:
                queries.append(name)
            return original(self, *args, **options)

        monkeypatch.setattr(pl.LazyFrame, name, query)

    for name in ("collect", "sink_parquet", "sink_csv", "sink_ipc", "sink_ndjson", "sink_batches"):
        counted(name)
    operations = [
        {"op": "filter", "where": "a > 10"},
        {"op": "join", "with": {"path": "wide.parquet"}, "on": ["b"]},
        {"op": "sort", "by": ["a"]},
    ]
    config = {
        "source": {"path": "wide.parquet"},
        "operations": operations,
        "checks": [{"check": "row_count", "min": 1}],
        "sink": {"path": "out.csv"},
    }
    assert (await run(config)).output["rows"] == 89
    assert queries == ["sink_parquet"]


def test_a_table_several_times_larger_than_the_memory_streams(tmp_path: Path) -> None:
    """Highly compressible, so that it costs little to make: 1.5 GB in memory, 1 MB on disk."""
    write_large_file(tmp_path / "large.parquet")
    program = [sys.executable, "-m", "tests.agents.data.memory_program", str(tmp_path)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "2"}
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=110, env=environment)
    assert done.returncode == 0, done.stderr
    groups, rows, peak = map(int, done.stdout.split())
    assert (groups, rows) == (1_000, ROWS * 999 // 1_000)
    assert peak < LIMIT_BYTES < ROWS * BYTES_OF_A_ROW / 3.5
