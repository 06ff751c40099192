"""Runs that wait for their program: made ahead, with their walls, limits and interpreter, so that it can start at once.

One is an ordinary run, made for exactly the `Launch` that it will be used for, whose job comes late. It serves one
program and ends with it, or when it was not wanted for a while, or with this process, its zygote or its watcher.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace

from agents.code.guest.launch import NAMESPACES, Launch
from agents.code.pipes import MAX_LATE_BYTES, Pipes
from agents.code.zygote import Zygote

MOST = 2
"""Waiting at once, each for a launch of its own: one takes some MiB, with Node.js some tens."""
SECONDS = 120.0
"""After which one that nobody wanted is let go."""
MOST_REMEMBERED = 16


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    pipes: Pipes
    expiry: asyncio.TimerHandle

    def end(self) -> None:
        self.expiry.cancel()
        self.pipes.close()


class Standby:
    """Keeps one for what was asked for more than once, as long as it is asked for."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, _Waiting] = OrderedDict()
        self._asked_for: OrderedDict[bytes, None] = OrderedDict()

    def taken(self, launch: Launch, job: bytes) -> Pipes | None:
        """Of the run that has got the job. None where it is too large, or no run waits for such a launch any more."""
        if len(job) > MAX_LATE_BYTES:
            return None
        waiting = self._waiting.pop(launch.encoded(), None)
        if waiting is None:
            return None
        if waiting.pipes.hand_over(job):
            waiting.expiry.cancel()
            return waiting.pipes
        waiting.end()
        return None

    def asked_for(self, zygote: Zygote, launch: Launch) -> None:
        """Told after each run: has one wait for the next, from the second of its kind on."""
        if launch.walls != NAMESPACES or launch.datasets or launch.network:
            return  # a work folder, mounts or a way out that are made for one run
        key = launch.encoded()
        if key in self._asked_for:
            self.prepare(zygote, launch)
        self._asked_for[key] = None
        self._asked_for.move_to_end(key)
        if len(self._asked_for) > MOST_REMEMBERED:
            self._asked_for.popitem(last=False)

    def prepare(self, zygote: Zygote, launch: Launch) -> bool:
        """Has one wait unless one does; the one that has waited longest makes room. False: no zygote for it,
        or nothing to open."""
        key = launch.encoded()
        if key in self._waiting:
            return True
        try:
            pipes = Pipes(None)
        except OSError:  # no more descriptors, for now
            return False
        if not zygote.offer(replace(launch, waits=True), pipes.descriptors):
            pipes.close()
            return False
        pipes.close_handed_over()
        expiry = asyncio.get_running_loop().call_later(SECONDS, self._expire, key, pipes)
        self._waiting[key] = _Waiting(pipes=pipes, expiry=expiry)
        while len(self._waiting) > MOST:
            self._waiting.popitem(last=False)[1].end()
        return True

    def close(self) -> None:
        """Ends them all."""
        while self._waiting:
            self._waiting.popitem()[1].end()

    def _expire(self, key: bytes, pipes: Pipes) -> None:
        if key in self._waiting and self._waiting[key].pipes is pipes:
            self._waiting.pop(key).end()
