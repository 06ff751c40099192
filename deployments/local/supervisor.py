"""Keeps the parts of the stack alive: starts them, restarts one that dies with growing pauses, stops all in order."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from deployments.local.errors import ServiceFailed


class Service(Protocol):
    """A part of the stack. `start` may be called again after the part has ended."""

    name: str
    detail: str
    """What is worth saying beside the name when it is ready (a version), or nothing."""

    async def start(self) -> None:
        """Returns when the part is ready; raises `ServiceFailed`."""
        ...

    async def exited(self) -> str:
        """Returns when the part has ended by itself, with how it did."""
        ...

    async def stop(self) -> None:
        """Ends the part within a bounded time; without effect when it does not run."""
        ...

    def kill(self) -> None:
        """Ends the part at once."""
        ...

    def failure(self, how: str) -> ServiceFailed:
        """The error that says how the part ended, with the end of its log."""
        ...


class Reporter(Protocol):
    """Says what happens while it happens."""

    def starting(self, name: str) -> None: ...

    def ready(self, name: str, detail: str, seconds: float) -> None: ...

    def died(self, name: str, how: str, pause_seconds: float) -> None: ...

    def back(self, name: str, seconds: float) -> None: ...

    def stopped(self, name: str, seconds: float) -> None: ...


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Pauses of `first_seconds * 2**n`, at most `longest_seconds`; given up after `most` deaths in `window_seconds`."""

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    most: int = 6
    window_seconds: float = 120.0


class Supervisor:
    """Holds services in the order in which they were added; that order is turned round to stop them."""

    def __init__(self, reporter: Reporter, policy: RestartPolicy | None = None) -> None:
        self._reporter = reporter
        self._policy = policy or RestartPolicy()
        self._services: dict[str, Service] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._given_up: asyncio.Queue[ServiceFailed] = asyncio.Queue()

    def add(self, service: Service) -> None:
        """Takes its place in the order; nothing is started yet."""
        self._services[service.name] = service

    async def start(self, name: str) -> None:
        """Starts a service that was added and watches it from then on. Raises `ServiceFailed`."""
        service = self._services[name]
        self._reporter.starting(name)
        began = time.monotonic()
        await service.start()
        self._reporter.ready(name, service.detail, time.monotonic() - began)
        self._watchers[name] = asyncio.create_task(self._watch(service))

    async def restart(self, name: str) -> None:
        """Stops a service and starts it again, as its sources have changed; a failure counts as a death."""
        service = self._services[name]
        await self._unwatch(name)
        await service.stop()
        began = time.monotonic()
        deaths: deque[float] = deque()
        self._watchers[name] = asyncio.create_task(self._revive(service, deaths, "was stopped to load changes", began))

    async def given_up(self) -> ServiceFailed:
        """Returns when a service has died too often to be started again."""
        return await self._given_up.get()

    async def stop(self) -> None:
        """Stops everything in reverse order; each has its own bounded grace."""
        for name in list(self._watchers):
            await self._unwatch(name)
        for service in reversed(self._services.values()):
            began = time.monotonic()
            await service.stop()
            self._reporter.stopped(service.name, time.monotonic() - began)

    def kill(self) -> None:
        """Ends everything at once; a `stop` under way then finishes quickly."""
        for service in reversed(self._services.values()):
            service.kill()

    async def _watch(self, service: Service) -> None:
        deaths: deque[float] = deque()
        while True:
            how = await service.exited()
            if not await self._restarted(service, deaths, how):
                return

    async def _revive(self, service: Service, deaths: deque[float], how: str, began: float) -> None:
        try:
            await service.start()
        except ServiceFailed as failure:
            if not await self._restarted(service, deaths, failure.message.removeprefix(f"{service.name} ")):
                return
        else:
            self._reporter.back(service.name, time.monotonic() - began)
        await self._watch(service)

    async def _restarted(self, service: Service, deaths: deque[float], how: str) -> bool:
        """Starts a dead service again, as often as the policy allows; False when it does not any more."""
        while True:
            pause = self._pause(deaths)
            if pause is None:
                await self._given_up.put(service.failure(f"{how}, {len(deaths)} times in short succession"))
                return False
            self._reporter.died(service.name, how, pause)
            began = time.monotonic()
            await asyncio.sleep(pause)
            try:
                await service.start()
            except ServiceFailed as failure:
                how = failure.message.removeprefix(f"{service.name} ")
                continue
            self._reporter.back(service.name, time.monotonic() - began)
            return True

    def _pause(self, deaths: deque[float]) -> float | None:
        now = time.monotonic()
        deaths.append(now)
        while now - deaths[0] > self._policy.window_seconds:
            deaths.popleft()
        if len(deaths) >= self._policy.most:
            return None
        return float(min(self._policy.longest_seconds, self._policy.first_seconds * 2 ** (len(deaths) - 1)))

    async def _unwatch(self, name: str) -> None:
        watcher = self._watchers.pop(name, None)
        if watcher is None:
            return
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
