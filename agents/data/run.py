"""One run of a DATA agent: tables made ready, one query, its checks, its sink, its place in the store."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from agents.context import AgentContext
from agents.data.addresses import label_of
from agents.data.charts.config import AnyChart
from agents.data.charts.figures import make_figure
from agents.data.charts.rendering import MEDIA_TYPES, render
from agents.data.column_types import schema_names
from agents.data.config import DataConfig, parse_config
from agents.data.execution import Materialised, materialise, require_passed
from agents.data.failures import POLARS_FAILURES, failed_at
from agents.data.lazy import LAZY, LazyTable
from agents.data.paths import place_file
from agents.data.planning import make_plan
from agents.data.quality import summary
from agents.data.reading import SourceReader
from agents.data.remote.tables import RemoteTables
from agents.data.sinks import AnySink, FileSink, TableSink, UrlSink
from agents.data.stopping import StopSignal, run_stoppable
from agents.data.writing import write_format, write_sink
from agents.egress.guard import Guard
from agents.egress.transport import GuardedTransport
from agents.errors import AgentError
from agents.result import AgentResult, ArtifactFile, DatasetRef

Done = TypeVar("Done")


class DataRun:
    """Used once. What blocks is done in `pool`; nothing is written before the checks have passed."""

    def __init__(
        self,
        *,
        inputs: dict[str, Any],
        context: AgentContext,
        guard: Guard,
        transport: GuardedTransport,
        pool: Executor,
        stop: StopSignal,
    ) -> None:
        self._inputs = inputs
        self._context = context
        self._pool = pool
        self._stop = stop
        self._staged = context.datasets.stage()
        self._remote = RemoteTables(context=context, guard=guard, transport=transport, pool=pool, stop=stop)

    async def result(self, raw_config: dict[str, Any]) -> AgentResult:
        """Raises `AgentError`."""
        config = await self._in_thread(lambda: self._parse(raw_config))
        into = self._context.fused_into
        if into is not None and config.is_pure:
            return await self._in_thread(lambda: self._planned(raw_config, config, into))
        try:
            async with self._remote:
                await self._remote.fetch(config.named_sources())
                return await self._made(config)
        finally:
            self._staged.unlink(missing_ok=True)

    def _planned(self, raw_config: dict[str, Any], config: DataConfig, into: str) -> AgentResult:
        """Instead of the table the plan of it, which has met the columns but no row."""
        reader = self._reader()
        columns = schema_names(make_plan(config, reader, self._stop).schema)
        lazy = LazyTable(
            config=raw_config,
            inputs=self._inputs,
            lazy_inputs=sorted(self._context.lazy_inputs),
            stamps=reader.stamps,
        )
        self._context.log("INFO", f"{len(columns)} columns; the rows are computed by {into}")
        return AgentResult(output={"fusedInto": into, "schema": columns, LAZY: lazy.model_dump(by_alias=True)})

    def _reader(self) -> SourceReader:
        return SourceReader(
            inputs=self._inputs,
            context=self._context,
            remote=self._remote,
            stop=self._stop,
            lazy_inputs=self._context.lazy_inputs,
        )

    async def _made(self, config: DataConfig) -> AgentResult:
        result = await self._query(config)
        self._report(result)
        pictures = await self._draw(config.chart) if config.chart else {}
        sink = await self._write(config.sink) if config.sink else None
        reference = await self._context.datasets.keep(self._staged, rows=result.rows, columns=result.columns)
        kept = await self._keep(pictures)
        output = _output(result, reference, sink, kept)
        artifacts = (ArtifactFile.of_dataset(reference), *kept.values())
        return AgentResult(output=output, preview=result.preview, artifacts=artifacts)

    def _parse(self, raw_config: dict[str, Any]) -> DataConfig:
        config = parse_config(raw_config)
        if isinstance(config.sink, FileSink):
            place_file(config.sink.path, self._context.data_roots)
        return config

    async def _query(self, config: DataConfig) -> Materialised:
        """Plans and runs the query into the staged file."""
        try:
            return await self._in_thread(lambda: self._materialise(config))
        except AgentError:
            if self._remote.refusal is not None:
                raise self._remote.refusal from None
            raise

    def _materialise(self, config: DataConfig) -> Materialised:
        plan = make_plan(config, self._reader(), self._stop)
        self._stop.check()
        return materialise(plan, config, self._staged, self._stop)

    def _report(self, result: Materialised) -> None:
        """Logs rows and checks; raises `DataFailed` for a check of severity ERROR."""
        log = self._context.log
        for record in result.checks:
            level = "INFO" if record["passed"] else record["severity"]
            log(level, f"check {record['check']}: {record['failed']} row(s) break it", check=record)
        require_passed(result.checks)
        if any(not record["passed"] for record in result.checks):
            log("WARN", f"the data breaks {summary(result.checks)}")
        log("INFO", f"{result.rows} rows, {len(result.columns)} columns", rows=result.rows)

    async def _draw(self, chart: AnyChart) -> dict[str, Path]:
        """The pictures of the result by format, not yet in the store."""
        try:
            figure = await self._in_thread(lambda: make_figure(chart, pl.scan_parquet(self._staged, glob=False)))
        except POLARS_FAILURES as error:
            raise failed_at("chart", chart.kind, error) from error
        if figure.note:
            self._context.log("INFO", f"chart: {figure.note}")
        folder = self._remote.scratch("chart")
        await asyncio.to_thread(folder.mkdir)
        return await render(figure, folder)

    async def _keep(self, pictures: dict[str, Path]) -> dict[str, ArtifactFile]:
        kept = {}
        for kind, picture in pictures.items():
            staged = await asyncio.to_thread(picture.rename, self._context.datasets.stage(f".{kind}"))
            stored = await self._context.datasets.keep(staged, rows=0, columns={})
            kept[kind] = ArtifactFile(
                name=picture.name,
                media_type=MEDIA_TYPES[kind],
                uri=stored.uri,
                bytes=stored.bytes,
                sha256=stored.sha256,
            )
        return kept

    async def _write(self, sink: AnySink) -> dict[str, Any]:
        """Writes the result where the sink says; returns what the output says of it."""
        match sink:
            case FileSink():
                size = await self._in_thread(lambda: self._write_file(sink))
                return {"path": sink.path, "format": sink.kind, "bytes": size}
            case UrlSink():
                file = self._remote.scratch("sink")
                size = await self._in_thread(lambda: write_format(self._staged, sink, file))
                await self._remote.send_file(sink, file)
                return {"url": label_of(sink.url), "format": sink.kind, "bytes": size}
            case TableSink():
                await self._remote.send_rows(sink, self._staged)
                return {"table": sink.table}

    def _write_file(self, sink: FileSink) -> int:
        return write_sink(self._staged, sink, place_file(sink.path, self._context.data_roots))

    async def _in_thread(self, work: Callable[[], Done]) -> Done:
        return await run_stoppable(self._pool, self._stop, work)


def _output(
    result: Materialised, reference: DatasetRef, sink: dict[str, Any] | None, pictures: dict[str, ArtifactFile]
) -> dict[str, Any]:
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
    if pictures:
        output["chart"] = {kind: {"uri": file.uri, "bytes": file.bytes} for kind, file in pictures.items()}
    return output
