"""Runs DATA agents."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agents.context import AgentContext
from agents.data.run import DataRun
from agents.data.stopping import StopSignal
from agents.egress.guard import Guard, Resolver, resolve
from agents.egress.transports import Transports
from agents.result import AgentResult
from agents.spec import AgentSpec


class DataExecutor:
    """One lazy query per run, written as Parquet by the streaming engine, in a thread.

    The output is `{"rows", "schema", "preview", "dataset"}`, with `data` (all rows) for at most 1,000 rows and 64 KiB,
    `checks` where there are any, and `sink` where there is one. At most one query per core runs at a time.
    """

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="data-agent")
        self._resolver = resolver
        self._transports = Transports(resolver)

    async def aclose(self) -> None:
        """Ends the threads that queries ran in, and the connections of the running event loop."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        await self._transports.aclose()

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        """Raises `ConfigInvalid`, `InputInvalid`, `DataFailed`, and what remote tables raise; see `Executor.run`."""
        run = DataRun(
            inputs=inputs,
            context=context,
            guard=Guard(context.egress, self._resolver),
            transport=self._transports.get(context.egress),
            pool=self._pool,
            stop=StopSignal(),
        )
        return await run.result(spec.config)
