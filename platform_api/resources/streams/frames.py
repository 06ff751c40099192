"""Entries as Server-Sent Events, encoded once for all who listen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from flows.states import ExecutionStatus, is_final
from platform_api.kit.schemas import zulu
from platform_api.resources.streams.repository import Entry

RETRY_MILLISECONDS = 2000
OPENING = b"retry: %d\n\n" % RETRY_MILLISECONDS
"""How long a client waits before it comes again; sent at once, so that it sees the stream begin."""

HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One event on the wire. `seq` is None for what is only said live and has no number in the record."""

    seq: int | None
    body: bytes
    is_last: bool = False


def frame_of(execution_id: UUID, entry: Entry) -> Frame:
    """An entry of the record."""
    return Frame(
        seq=entry.seq,
        body=_encoded(entry.type, _data(execution_id, entry), seq=entry.seq),
        is_last=_is_last(entry),
    )


def live_frame(execution_id: UUID, kind: str, data: Mapping[str, Any]) -> Frame:
    """What is told to those who listen now. Without an id, so that the last numbered one stays the place to go on."""
    return Frame(seq=None, body=_encoded(kind, {"executionId": str(execution_id), **data}, seq=None))


def _data(execution_id: UUID, entry: Entry) -> dict[str, Any]:
    common = {"executionId": str(execution_id), "seq": entry.seq, "timestamp": zulu(entry.created_at)}
    if entry.log is None:
        return {**entry.payload, **common}
    line = entry.log
    return {
        **common,
        "id": str(line.id),
        "level": line.level,
        "message": line.message,
        "stepKey": line.step_key,
        "stepRunId": str(line.step_run_id) if line.step_run_id else None,
        "metadata": entry.payload,
    }


def _encoded(kind: str, data: Mapping[str, Any], *, seq: int | None) -> bytes:
    number = b"" if seq is None else b"id: %d\n" % seq
    return b"%sevent: %s\ndata: %s\n\n" % (number, kind.encode(), orjson.dumps(data))


def _is_last(entry: Entry) -> bool:
    return entry.type == "execution.status" and is_final(ExecutionStatus(entry.payload["status"]))
