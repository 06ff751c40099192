"""Has figures drawn by a child process: the engine behind it is a browser's, large and not to be interrupted."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from agents.data.charts.figures import Figure
from agents.errors import AgentTimeout, DataFailed

MODULE = "agents.data.charts.drawing"
SECONDS = 120.0
MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "html": "text/html"}
_LAST_WORDS = 300


async def render(figure: Figure, folder: Path) -> dict[str, Path]:
    """Draws into `folder`; the pictures by format. Raises `DataFailed` or `AgentTimeout`."""
    payload = await asyncio.to_thread(lambda: json.dumps(figure.as_json()).encode())
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(folder),
        cwd=folder,
    )
    try:
        async with asyncio.timeout(SECONDS):
            _, said = await child.communicate(payload)
    except TimeoutError:
        raise AgentTimeout(f"chart: it could not be drawn in {SECONDS:g} s", path="chart") from None
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    if child.returncode != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2][:_LAST_WORDS]
        raise DataFailed(f"chart: it could not be drawn: {last or child.returncode}", path="chart")
    return {kind: folder / f"chart.{kind}" for kind in figure.formats}


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the worker's but where modules lie; days and hours are those of the data."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": str(folder), "TZ": "UTC"}
