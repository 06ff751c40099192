"""`python -m deployments.worker`: serves the work pools of all environments until SIGTERM or ctrl-C."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from uuid import UUID

import anyio
import structlog

from agents.code.backends import selection
from deployments.local.files import DataFolder, write_json
from deployments.prefect_client import prefect_client
from deployments.wiring import Wiring, wired
from deployments.worker import child
from deployments.worker.cancelling import Cancelling
from deployments.worker.descriptors import allow_enough
from deployments.worker.fork_server import ForkServer, set_aside
from deployments.worker.processes import WarmPool
from deployments.worker.rounds import Rounds
from deployments.worker.sandbox import Announcement
from deployments.worker.wake import listen
from deployments.worker.worker import TurbocatWorker
from flows.orchestrator import work_pool
from flows.states import Environment
from platform_api.db.engine import libpq_url
from platform_api.kit.logging import configure_logging
from platform_api.resources.executions.journal import CANCEL_CHANNEL, RUNS_CHANNEL
from platform_api.resources.executions.record_rows import LINE_CHANNEL
from platform_api.resources.secrets.keys import check_keys
from platform_api.settings import Settings, SettingsInvalid, load_settings

STOP_GRACE_SECONDS = 6.0
HANDED_BACK_AT_ONCE = 8
PROCESSES_PER_CORE = 2

Workers = Mapping[Environment, TurbocatWorker]

log = structlog.get_logger(__name__)


def main() -> int:
    """Runs the worker; 2 when the settings are wrong."""
    try:
        settings = load_settings()
    except SettingsInvalid as error:
        sys.stderr.write(f"The worker cannot start:\n{error}\n")
        return 2
    allow_enough()
    control = set_aside(child.main)  # the first of all: what is opened or started before would be the copy's as well
    configure_logging(settings.logs, application="worker")
    try:
        with prefect_client(settings):
            asyncio.run(_serve(settings, control))
    except SettingsInvalid as error:
        log.error("worker_cannot_start", reason=str(error))
        return 2
    return 0


async def _serve(settings: Settings, control: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        contextlib.aclosing(await ForkServer.connect(control)) as forks,
        wired(settings, application_name="turbocat-worker") as wiring,
    ):
        most = settings.runs.processes or PROCESSES_PER_CORE * (os.cpu_count() or 1)
        processes = WarmPool(most, forks, ready=(most + 1) // 2)
        await check_keys(wiring.sessions, wiring.cipher)
        rounds = Rounds(wiring, settings)
        rounds.start()
        slots = anyio.CapacityLimiter(settings.runs.max_concurrent)
        cancelling = Cancelling(processes)
        workers = {
            environment: TurbocatWorker(
                processes=processes,
                wiring=wiring,
                name=f"turbocat-{socket.gethostname()}-{os.getpid()}-{environment.value.lower()}",
                work_pool_name=work_pool(environment),
                slots=slots,
                cancelling=cancelling,
            )
            for environment in Environment
        }
        sandboxes = selection(settings.runs.code_sandbox, settings.runs.code_engine)
        announcing = asyncio.create_task(Announcement(sandboxes, wiring.sessions).keep())
        try:
            await _until_stopped(stop, workers, cancelling, rounds, processes, settings)
        finally:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)
            held = processes.held
            await processes.stop(STOP_GRACE_SECONDS)
            await _hand_back(wiring, held)


async def _until_stopped(
    stop: asyncio.Event,
    workers: Workers,
    cancelling: Cancelling,
    rounds: Rounds,
    processes: WarmPool,
    settings: Settings,
) -> None:
    async def poll(environment: str) -> None:
        rounds.hear_of_run()
        worker = workers[Environment(environment)]
        if worker.is_setup:
            await worker.poll()

    async def cancel(flow_run_id: str) -> None:
        cancelling.cancel(flow_run_id, "The run was cancelled")

    tasks = [asyncio.create_task(worker.start(printer=_quiet)) for worker in workers.values()]
    channels = {RUNS_CHANNEL: poll, CANCEL_CHANNEL: cancel, LINE_CHANNEL: rounds.hear_of_line}
    tasks.append(asyncio.create_task(listen(libpq_url(settings.database), channels)))
    tasks += [*rounds.tasks, asyncio.create_task(processes.keep())]
    tasks.append(asyncio.create_task(_announced(workers, processes, settings)))
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
    for task in [*tasks, stopped]:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done - {stopped}:
        task.result()


async def _announced(workers: Workers, processes: WarmPool, settings: Settings) -> None:
    """Says that this process takes runs now: a heartbeat that the server remembers may be a former worker's."""
    await processes.take()
    while not all(worker.is_setup for worker in workers.values()):  # noqa: ASYNC110  # Prefect tells nobody
        await asyncio.sleep(0.05)
    try:
        write_json(DataFolder(settings.data_dir).worker, {"pid": os.getpid()})
    except OSError as error:
        log.warning("worker_not_announced", reason=str(error))
    await asyncio.get_running_loop().create_future()


async def _hand_back(wiring: Wiring, flow_run_ids: list[str]) -> None:
    """Lets another worker, or the next one here, go on with the runs that this one has left."""
    left = iter(flow_run_ids)

    async def hand_back_next() -> None:
        for flow_run_id in left:
            try:
                await wiring.recover(UUID(flow_run_id), died=False)
            except Exception:
                log.exception("run_not_handed_back", flow_run_id=flow_run_id)

    await asyncio.gather(*(hand_back_next() for _ in range(HANDED_BACK_AT_ONCE)))


def _quiet(message: str) -> None:
    log.info("worker", message=message)


if __name__ == "__main__":
    sys.exit(main())
