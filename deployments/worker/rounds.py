"""What a worker does beside its runs, again and again; most of it is done by one worker at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from agents.code.leftovers import remove_leftovers
from deployments.wiring import Wiring
from platform_api.resources.executions.admission import Dispatcher
from platform_api.resources.executions.cancel_sweep import LOOK_SECONDS, SWEEP_SECONDS, CancelSweep, PrefectCancels
from platform_api.resources.executions.delivery import AdmissionLimits
from platform_api.resources.executions.reconciler import Reconciler
from platform_api.resources.executions.timekeeper import TICK_SECONDS, Timekeeper, is_any_open
from platform_api.resources.workflows import departures
from platform_api.settings import Settings

RECONCILE_SECONDS = 5.0
RECOVER_SECONDS = 0.5
LEFTOVERS_SECONDS = 60.0
KNOWN_FOR_SECONDS = 3.0
"""How long it counts that no run is open, unless one is heard of: those that Prefect starts by itself are told late."""
DISPATCH_PAUSE_SECONDS = 0.2
"""Between two looks at the line of waiting runs, however much news there is of it."""

Work = Callable[[], Awaitable[object]]

log = structlog.get_logger(__name__)


class Rounds:
    """`start` begins them before the worker takes any run: a former worker may have left some."""

    def __init__(self, wiring: Wiring, settings: Settings) -> None:
        sessions, orchestrator = wiring.sessions, wiring.orchestrator
        self._sessions = sessions
        self._none_open_until = 0.0
        reconciler = Reconciler(sessions, orchestrator)
        self._dispatcher = Dispatcher(sessions, orchestrator, AdmissionLimits.of(settings.runs))
        self._news_of_line = asyncio.Event()
        self._work: tuple[tuple[float, Work], ...] = (
            (RECOVER_SECONDS, self._while_any_is_open(reconciler.recover)),
            (RECONCILE_SECONDS, reconciler.sweep),
            (TICK_SECONDS, self._while_any_is_open(Timekeeper(sessions, orchestrator).tick)),
            (SWEEP_SECONDS, self._while_any_is_open(CancelSweep(sessions).sweep)),
            (LOOK_SECONDS, self._while_any_is_open(PrefectCancels(sessions, orchestrator).look)),
            (departures.LOOK_SECONDS, departures.Departures(sessions, orchestrator).sweep),
            (LEFTOVERS_SECONDS, partial(asyncio.to_thread, remove_leftovers)),
        )
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Does each by its own clock, until its task is cancelled."""
        self.tasks = [asyncio.create_task(_every(seconds, work)) for seconds, work in self._work]
        self.tasks.append(asyncio.create_task(self._dispatch()))

    def hear_of_run(self) -> None:
        """A run waits to be taken, so that one is open."""
        self._none_open_until = 0.0

    async def hear_of_line(self, _payload: str) -> None:
        """There is news of the line of waiting runs."""
        self._news_of_line.set()

    def _while_any_is_open(self, work: Work) -> Work:
        """An idle platform is to cost nothing: one short look stands for all rounds that look after open runs."""

        async def work_if_needed() -> None:
            now = asyncio.get_running_loop().time()
            if now < self._none_open_until:
                return
            if await is_any_open(self._sessions):
                await work()
            else:
                self._none_open_until = now + KNOWN_FOR_SECONDS

        return work_if_needed

    async def _dispatch(self) -> None:
        while True:
            self._news_of_line.clear()
            await _round(self._dispatcher.dispatch)
            await asyncio.sleep(DISPATCH_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._dispatcher.pause_seconds - DISPATCH_PAUSE_SECONDS):
                    await self._news_of_line.wait()


async def _every(seconds: float, work: Work) -> None:
    while True:
        await _round(work)
        await asyncio.sleep(seconds)


async def _round(work: Work) -> None:
    """What fails in one round is logged and left to the next."""
    try:
        await work()
    except Exception:
        log.exception("round_failed", work=repr(work))
