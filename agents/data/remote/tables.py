"""The remote tables of one run: made ready before its query, and its result taken away after it."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agents.context import AgentContext
from agents.data.addresses import Located, bucket_and_key, is_object, label_of, sqlite_path
from agents.data.failures import POLARS_FAILURES, failed_at
from agents.data.formats import FORMATS, FileFormat, format_of
from agents.data.paths import find_files, place_file
from agents.data.remote import folders, http, objects, postgres, sqlite
from agents.data.sinks import TableSink, UrlSink
from agents.data.sources import AnySource, DatabaseSource, RemoteSource, UrlSource
from agents.data.stopping import StopSignal, run_stoppable
from agents.data.suggestions import listed
from agents.data.writing import files_of
from agents.egress.guard import Guard
from agents.egress.transport import GuardedTransport
from agents.egress.tunnel import Tunnel
from agents.errors import AgentError, ConfigInvalid, InputInvalid

Done = TypeVar("Done")

MAX_FILE_BYTES = 4 * 2**30
_WHOLE = ("json", "excel")
"""Formats that Polars does not read piece by piece."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A remote table as Polars opens it: local files, or a URL with the options to reach it."""

    kind: FileFormat
    files: tuple[Path, ...] = ()
    url: str | None = None
    options: Mapping[str, Any] | None = None


class RemoteTables:
    """A context: at its end the fetched files are gone and its connections closed."""

    def __init__(
        self, *, context: AgentContext, guard: Guard, transport: GuardedTransport, pool: Executor, stop: StopSignal
    ) -> None:
        self._context = context
        self._guard = guard
        self._transport = transport
        self._pool = pool
        self._stop = stop
        self._folder = context.datasets.stage("")
        self._tunnel: Tunnel | None = None
        self._open = AsyncExitStack()
        self._ready: dict[str, Ready] = {}

    async def __aenter__(self) -> "RemoteTables":
        await asyncio.to_thread(self._folder.mkdir, mode=0o700)
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._open.__aexit__(*details)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def at(self, path: str) -> Ready:
        """The table whose source stands at `path` in the config."""
        return self._ready[path]

    @property
    def refusal(self) -> AgentError | None:
        """What the guard refused while Polars was reading, which only sees a broken connection."""
        return self._tunnel.refusal if self._tunnel else None

    async def fetch(self, sources: Mapping[str, AnySource]) -> None:
        """Makes ready what is remote of them. Raises `AgentError` that names the source."""
        for path, source in sources.items():
            if isinstance(source, UrlSource | DatabaseSource):
                with _named(path):
                    self._ready[path] = await self._fetched(source, self._place(len(self._ready)))

    async def send_file(self, sink: UrlSink, file: Path) -> None:
        """Makes a file, or a folder of files, appear behind the sink's URL."""
        with _named("sink"):
            if not is_object(sink.url):
                await http.send_file(sink, self._transport, file)
                return
            proxy = await self._proxy(sink)
            if sink.partition_by:
                files = await asyncio.to_thread(files_of, file)
                await self._reaching(lambda: folders.send_folder(sink, proxy, file, files))
                return
            await self._reaching(lambda: objects.send_object(sink, proxy, file))

    async def send_rows(self, sink: TableSink, table: Path) -> None:
        """Writes the rows of a Parquet file into the sink's table."""
        with _named("sink"):
            path = sqlite_path(sink.database)
            try:
                if path is None:
                    await postgres.write_table(sink, self._guard, table, self._folder)
                else:
                    await self._in_thread(lambda: self._write_sqlite(sink, path, table))
            except POLARS_FAILURES as error:
                raise failed_at("sink", "", error) from error

    def scratch(self, name: str) -> Path:
        """A fresh path that is gone with this context."""
        return self._folder / name

    async def _fetched(self, source: RemoteSource, place: Path) -> Ready:
        await asyncio.to_thread(place.mkdir)
        if isinstance(source, DatabaseSource):
            return Ready(kind="parquet", files=tuple(await self._query(source, place)))
        if not is_object(source.url):
            file = place / "file"
            claimed = await http.fetch_file(source, self._transport, file, MAX_FILE_BYTES)
            return Ready(kind=_kind(source, claimed), files=(file,))
        kind = _kind(source, format_of(bucket_and_key(source.url)[1], None))
        proxy = await self._proxy(source)
        if kind not in _WHOLE:
            return Ready(kind=kind, url=source.url, options=objects.storage_options(source, proxy))
        file = place / "file"
        await self._reaching(lambda: objects.fetch_object(source, proxy, file, MAX_FILE_BYTES))
        return Ready(kind=kind, files=(file,))

    async def _query(self, source: DatabaseSource, place: Path) -> list[Path]:
        path = sqlite_path(source.database)
        if path is None:
            return await postgres.fetch_query(source, self._guard, place)
        roots = self._context.data_roots
        return await self._in_thread(
            lambda: sqlite.fetch_query(source, find_files(path, roots)[0], place, self._stop.check)
        )

    def _write_sqlite(self, sink: TableSink, path: str, table: Path) -> None:
        target = place_file(path, self._context.data_roots)
        is_new = not target.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            sqlite.write_table(sink, target, table, self._stop.check)
        except BaseException:
            if is_new:
                target.unlink(missing_ok=True)
            raise

    async def _in_thread(self, work: Callable[[], Done]) -> Done:
        return await run_stoppable(self._pool, self._stop, work)

    async def _proxy(self, located: Located) -> str:
        if located.endpoint_url is not None:
            await self._guard.check_endpoint(located.endpoint_url)
        if self._tunnel is None:
            self._tunnel = await self._open.enter_async_context(Tunnel(self._guard))
        return self._tunnel.url

    async def _reaching(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AgentError:
            if self.refusal is not None:
                raise self.refusal from None
            raise

    def _place(self, number: int) -> Path:
        return self._folder / str(number)


def _kind(source: UrlSource, found: FileFormat | None) -> FileFormat:
    kind = source.format or found
    if kind is None:
        message = f'the format cannot be told from {label_of(source.url)}; set "format" to one of {listed(FORMATS)}'
        raise InputInvalid(message)
    if kind in _WHOLE and is_object(source.url) and "*" in source.url:
        raise ConfigInvalid(f"files of the format {kind} are read one object at a time; name one without *")
    return kind


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Errors say at which place of the config they came up."""
    try:
        yield
    except AgentError as error:
        inner = f"{path}.{error.path}" if error.path and not error.path.startswith(path) else path
        message = error.message if error.message.startswith(path) else f"{path}: {error.message}"
        raise type(error)(message, code=error.code, path=inner, hint=error.hint, details=error.details) from error
