"""Runs DATA agents."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agents.context import AgentContext
from agents.data.config import DataConfig, parse_config
from agents.data.execution import Materialised, materialise, require_passed
from agents.data.paths import place_file
from agents.data.planning import make_plan
from agents.data.quality import summary
from agents.data.reading import SourceReader
from agents.data.stopping import StopSignal, run_stoppable
from agents.data.writing import write_sink
from agents.result import AgentResult, ArtifactFile, DatasetRef
from agents.spec import AgentSpec


class DataExecutor:
    """One lazy query per run, written as Parquet by the streaming engine, in a thread.

    The output is `{"rows", "schema", "preview", "dataset"}`, with `data` (all rows) for at most 1,000 rows and 64 KiB,
    `checks` where there are any, and `sink` where there is one. At most one query per core runs at a time.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="data-agent")

    async def aclose(self) -> None:
        """Ends the threads that queries ran in."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        """Raises `ConfigInvalid`, `InputInvalid` and `DataFailed`; see `Executor.run`."""
        stop = StopSignal()
        staged = context.datasets.stage()
        try:
            return await self._run(_Run(spec.config, inputs, context, staged, stop))
        finally:
            staged.unlink(missing_ok=True)

    async def _run(self, run: "_Run") -> AgentResult:
        result = await run_stoppable(self._pool, run.stop, run.query)
        run.report(result)
        sink = await run_stoppable(self._pool, run.stop, run.write) if run.config.sink else None
        datasets = run.context.datasets
        reference = await datasets.keep(run.staged, rows=result.rows, columns=result.columns)
        output = _output(result, reference, sink)
        return AgentResult(output=output, preview=result.preview, artifacts=(ArtifactFile.of_dataset(reference),))


class _Run:
    """The blocking parts of one run; `query` comes first."""

    def __init__(
        self, config: dict[str, Any], inputs: dict[str, Any], context: AgentContext, staged: Path, stop: StopSignal
    ) -> None:
        self.context = context
        self.staged = staged
        self.stop = stop
        self._raw_config = config
        self._inputs = inputs
        self.config: DataConfig

    def query(self) -> Materialised:
        """Plans and runs the query into the staged file; nothing else is written."""
        self.config = parse_config(self._raw_config)
        if self.config.sink is not None:
            place_file(self.config.sink.path, self.context.data_roots)
        reader = SourceReader(inputs=self._inputs, context=self.context, stop=self.stop)
        plan = make_plan(self.config, reader, self.stop)
        self.stop.check()
        return materialise(plan, self.config, self.staged, self.stop)

    def report(self, result: Materialised) -> None:
        """Logs rows and checks; raises `DataFailed` for a check of severity ERROR."""
        for record in result.checks:
            level = "INFO" if record["passed"] else record["severity"]
            self.context.log(level, f"check {record['check']}: {record['failed']} row(s) break it", check=record)
        require_passed(result.checks)
        if any(not record["passed"] for record in result.checks):
            self.context.log("WARN", f"the data breaks {summary(result.checks)}")
        self.context.log("INFO", f"{result.rows} rows, {len(result.columns)} columns", rows=result.rows)

    def write(self) -> dict[str, Any]:
        """Writes the sink's file; returns what the output says of it."""
        sink = self.config.sink
        assert sink is not None
        target = place_file(sink.path, self.context.data_roots)
        size = write_sink(self.staged, sink, target)
        return {"path": sink.path, "format": sink.kind, "bytes": size}


def _output(result: Materialised, reference: DatasetRef, sink: dict[str, Any] | None) -> dict[str, Any]:
    output: dict[str, Any] = {
        "rows": result.rows,
        "schema": result.columns,
        "preview": result.preview,
        "dataset": reference.model_dump(mode="json", by_alias=True),
    }
    if result.data is not None:
        output["data"] = result.data
    if result.checks:
        output["checks"] = result.checks
    if sink is not None:
        output["sink"] = sink
    return output
