"""Runs DATA agents over a large file in a process of its own and prints its peak memory: see test_streaming."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl

from agents.context import AgentContext
from agents.data.executor import DataExecutor
from agents.spec import AgentSpec, AgentType, Limits
from tests.agents.data.conftest import FolderDatasets, LogBook

PARTS = 12
ROWS = PARTS * 4_000_000
LIMIT_BYTES = 384 * 2**20
"""Of everything: the interpreter and its libraries are 150 MiB of it."""

GROUPED = [
    {"op": "map", "columns": {"product": "k * v"}},
    {"op": "join", "with": {"rows": [{"k": number, "name": f"n{number}"} for number in range(1_000)]}, "on": ["k"]},
    {"op": "group", "by": ["name"], "aggregations": {"n": "COUNT(*)", "s": "SUM(product)"}},
]
PASSED_THROUGH = [{"op": "filter", "where": "k <> 7"}, {"op": "map", "columns": {"w": "v + 1"}}]


def write_large_file(path: Path) -> None:
    """Four columns of 64 bits, which repeat themselves: a part of the rows again and again."""
    part = ROWS // PARTS
    number = pl.int_range(part, dtype=pl.Int64)
    columns = {"k": number // 250 % 1_000, "v": number // 10_000, "w": number * 0, "x": number // 1_000_000}
    small = path.with_suffix(".part.parquet")
    pl.select(**columns).write_parquet(small)
    pl.concat([pl.scan_parquet(small)] * PARTS).sink_parquet(path, row_group_size=250_000, engine="streaming")
    small.unlink()


async def main(folder: Path) -> None:
    """Prints the groups, the rows passed through, and the peak in bytes."""
    (folder / "datasets").mkdir()
    context = AgentContext(
        limits=Limits(),
        log=LogBook(),
        datasets=FolderDatasets(folder / "datasets"),
        idempotency_key="memory",
        data_roots=(folder,),
    )
    executor = DataExecutor()
    rows = [await _rows(executor, context, operations) for operations in (GROUPED, PASSED_THROUGH)]
    print(*rows, _peak())


def _peak() -> int:
    """The kernel's `maxrss` would count the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


async def _rows(executor: DataExecutor, context: AgentContext, operations: list[dict[str, Any]]) -> int:
    config = {"source": {"path": "large.parquet"}, "operations": operations}
    spec = AgentSpec(id="a", version=1, name="a", type=AgentType.DATA, config=config)
    return int((await executor.run(spec, {}, context)).output["rows"])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
