"""Sends to Prefect what a run leaves there beside its graph: tables, progress of loops, a page at the end.

Nothing of it holds up a step: while the run goes on few are sent, one after another, and the others wait for its end,
when the record is closed. What cannot be sent is only logged; the record has it all.
"""

import asyncio
import base64
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

MOST_PER_RUN = 50
PAUSE_SECONDS = 0.25
"""Between two, while the run goes on: each costs Prefect as much as a task."""
PATIENCE_SECONDS = 2.0
CANCELLED_PATIENCE_SECONDS = 0.5
"""What was cancelled and does not end soon costs its process."""

MOST_PICTURE_BYTES = 1 << 20
"""What Prefect shows of a picture is kept in its database, since its UI has no access to where the files lie."""

Send = Callable[[PrefectClient], Awaitable[Any]]
Locate = Callable[[str], Path]
"""The local file behind a uri of the result store; blocks."""

_logger = logging.getLogger(__name__)


class Artifacts:
    """Those of a flow run and of the subflows in it. As a context it sends, and waits a moment for the last."""

    def __init__(self, locate: Locate | None = None) -> None:
        self._locate = locate
        self.patience_seconds = PATIENCE_SECONDS
        self._waiting: asyncio.PriorityQueue[tuple[bool, int, str, Send]] = asyncio.PriorityQueue()
        self._numbers = count()
        self._taken = 0
        self._is_over = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Artifacts":
        self._sender = asyncio.create_task(self._send_forever())
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self._is_over.set()
        try:
            if kind is None:
                async with asyncio.timeout(self.patience_seconds):
                    await self._waiting.join()
        except TimeoutError:
            _logger.warning("Prefect is slow: at least %d artifacts of a run were not sent", self._waiting.qsize())
        finally:
            if self._sender:
                self._sender.cancel()
                await asyncio.wait([self._sender], timeout=CANCELLED_PATIENCE_SECONDS)

    def add(self, artifact: ArtifactCreate) -> None:
        """Sends it when its turn comes; a run has at most `MOST_PER_RUN`."""
        self._taken += 1
        if self._taken <= MOST_PER_RUN:
            self._put(artifact.key or "", lambda client: client.create_artifact(artifact))

    def add_picture(self, artifact: ArtifactCreate, uri: str) -> None:
        """The same for one that shows the PNG file behind a uri of the result store."""
        locate = self._locate
        if locate is None:
            return

        async def send(client: PrefectClient) -> None:
            content = await asyncio.to_thread(lambda: locate(uri).read_bytes())
            if len(content) <= MOST_PICTURE_BYTES:
                data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
                await client.create_artifact(artifact.model_copy(update={"data": data}))

        self._taken += 1
        if self._taken <= MOST_PER_RUN:
            self._put(artifact.key or "", send)

    def add_first(self, artifact: ArtifactCreate) -> None:
        """Sends it before all others, and whatever their number."""
        self._put(artifact.key or "", lambda client: client.create_artifact(artifact), first=True)

    def progress(self, artifact: ArtifactCreate) -> "Progress":
        """One that changes, as `Progress.tell` says."""
        return Progress(artifact, self._put)

    def _put(self, name: str, send: Send, *, first: bool = False) -> None:
        self._waiting.put_nowait((not first, next(self._numbers), name, send))

    async def _send_forever(self) -> None:
        while True:
            _, _, name, send = await self._waiting.get()
            try:
                async with get_client() as client:
                    await send(client)
            except Exception as error:
                _logger.warning("Prefect did not take the artifact %s: %s", name, type(error).__name__)
            finally:
                self._waiting.task_done()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._is_over.wait()


class Progress:
    """How far something is, in percent; made in Prefect when it is first told."""

    def __init__(self, artifact: ArtifactCreate, put: Callable[[str, Send], None]) -> None:
        self._artifact = artifact
        self._put = put
        self._id: UUID | None = None
        self._percent = 0.0
        self._is_waiting = False

    def tell(self, percent: float) -> None:
        """Only the newest is sent, when there are several."""
        self._percent = percent
        if not self._is_waiting:
            self._is_waiting = True
            self._put(self._artifact.key or "", self._send)

    async def _send(self, client: PrefectClient) -> None:
        self._is_waiting = False
        if self._id is None:
            made = await client.create_artifact(self._artifact.model_copy(update={"data": self._percent}))
            self._id = made.id
        else:
            await client.update_artifact(self._id, ArtifactUpdate(data=self._percent))


def artifact_key(*names: str) -> str:
    """The name under which Prefect keeps the versions of an artifact: lowercase letters, digits and dashes."""
    return "--".join(re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "x" for name in names)
