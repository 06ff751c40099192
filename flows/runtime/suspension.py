"""How a flow ends that only waits: in Prefect's state Suspended, with the form of its oldest question.

The Prefect UI shows one form when a run is resumed there (`flows.forms`); the worker that takes the run up then fetches
what was answered.
"""

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Suspended

from flows.forms import form_for, form_keys, plain_text
from flows.runtime.ports import Question
from flows.spec import WaitKind

PATIENCE = timedelta(days=366)
"""Prefect fails a run that is not resumed in its time; ours decide by themselves when they have waited long enough."""

_CONFLICT = 409

_FLOW_RUNS = logging.getLogger("prefect.flow_runs")

_logger = logging.getLogger(__name__)


def _is_no_error(line: logging.LogRecord) -> bool:
    """Prefect logs every end at ERROR that is not Completed; that a run waits is none."""
    if line.levelno == logging.ERROR and str(line.msg).startswith("Finished in state Suspended("):
        line.levelno, line.levelname = logging.INFO, logging.getLevelName(logging.INFO)
    return True


_FLOW_RUNS.addFilter(_is_no_error)


async def suspended(flow_run_id: UUID, question: Question | None, now: datetime) -> State[Any]:
    """The state to end the flow in. Where its form cannot be left the Prefect UI has none, and REST takes answers."""
    state: State[Any] = Suspended(pause_expiration_time=now + PATIENCE, message=_message(question))
    if question is not None and await _form_is_left(flow_run_id, question):
        state.state_details.run_input_keyset = form_keys(question.wait_id)
    return state


def _message(question: Question | None) -> str:
    if question is None:
        return "Waits for time or an event; to resume it here changes nothing"
    return f"Step {question.path} waits for {'approval' if question.kind is WaitKind.APPROVAL else 'input'}"


async def _form_is_left(flow_run_id: UUID, question: Question) -> bool:
    keys = form_keys(question.wait_id)
    description = plain_text(question.message or f"The step {question.path} asks.")
    try:
        async with get_client() as client:
            await _leave(client, flow_run_id, keys["schema"], form_for(question.kind, question.form))
            await _leave(client, flow_run_id, keys["description"], description)
    except Exception:
        _logger.exception("The form of %s is not shown in the Prefect UI", question.path)
        return False
    return True


async def _leave(client: PrefectClient, flow_run_id: UUID, key: str, value: Any) -> None:
    try:
        await client.create_flow_run_input(flow_run_id, key, orjson.dumps(value).decode())
    except PrefectHTTPStatusError as refused:
        if refused.response.status_code != _CONFLICT:  # left there when it was suspended before; forms never change
            raise
