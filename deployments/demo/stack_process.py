"""The demo's own stack: the command line as anyone would call it, on a temporary data folder and free ports."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from deployments.demo.errors import DemoFailed
from deployments.local.environment import inherited
from deployments.local.files import DataFolder, read_json
from deployments.local.guard import Guard
from deployments.local.pids import alive

START_SECONDS = 120.0
STOP_SECONDS = 45.0
POLL_SECONDS = 0.1
CHOSEN_BY_THE_DEMO = ("DATABASE_URL", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "DATA_ROOTS", "TURBOCAT_DATA_DIR")
"""Variables that would point the demo at something else than its own stack."""


class StackProcess:
    """Started by `start`, ended by `stop` or with this process, unless it is kept."""

    def __init__(self, data_dir: Path, *, keep: bool) -> None:
        self.folder = DataFolder(data_dir)
        self._output = data_dir / "up.log"
        self._shown = 0
        self._keep = keep
        self._guard: Guard | None = None
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    def beneath(cls, data_dir: Path, *, keep: bool) -> Self:
        """Forks the guard, so it is to be called before anything else runs."""
        stack = cls(data_dir, keep=keep)
        if not keep:
            stack._guard = Guard(state_file=stack.folder.state, grace_seconds=STOP_SECONDS)
        return stack

    async def start(self) -> None:
        """Starts it; what it says is read with `news`."""
        given = {name: value for name, value in inherited().items() if name not in CHOSEN_BY_THE_DEMO}
        with self._output.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "deployments.cli", "up", "--data-dir", str(self.folder.root)),
                *("--api-port", "0", "--prefect-port", "0"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**given, "COLUMNS": "200"},
                start_new_session=True,
            )
        if self._guard is not None:
            self._guard.watch(self._process.pid, signal.SIGTERM)

    async def ready(self) -> dict[str, Any] | None:
        """The content of `stack.json` once it is there, None after a short while without it. Raises `DemoFailed`."""
        assert self._process is not None
        state = read_json(self.folder.state)
        if state is not None:
            return state
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), POLL_SECONDS)
            raise DemoFailed("the stack did not start", lines=self._last_words())
        return None

    def news(self) -> list[str]:
        """Whole lines that the stack has written since the last call."""
        with self._output.open("rb") as output:
            output.seek(self._shown)
            text = output.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._shown += len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def _last_words(self) -> tuple[str, ...]:
        """What it said of its end, which may have been read as news already."""
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = (index for index, line in enumerate(lines) if line.startswith(("error:", "Traceback")))
        return tuple(lines[next(errors, 0) :])

    async def stop(self) -> None:
        """Stops it and returns when it is gone; without effect when it never started."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def release(self) -> None:
        """Ends the watch over it, to be called last. Where `stop` was interrupted, the guard finishes its work."""
        if self._guard is None:
            return
        if self._process is not None and alive(self._process.pid):
            self._guard.unleash()
        else:
            self._guard.dismiss()
