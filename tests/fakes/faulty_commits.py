"""Commits that fail before they are made, or are made although their caller sees the connection break."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Faults = Callable[[], str | None]


def with_faults(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> None:
    """From now on each commit asks `faults`: "request" loses it, "answer" only the word that it was made."""
    commit = psycopg.AsyncConnection.commit

    async def faulty(self: psycopg.AsyncConnection[Any]) -> None:
        fault = faults()
        if fault != "request":
            await commit(self)
        if fault is not None:
            await self.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.AsyncConnection, "commit", faulty)
