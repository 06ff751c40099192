"""Prefect's client library, set up from our settings, so that one place reads the environment for both."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_RETRY_EXTRA_CODES,
    PREFECT_WORKER_CANCELLATION_POLL_SECONDS,
    PREFECT_WORKER_ENABLE_CANCELLATION,
    PREFECT_WORKER_QUERY_SECONDS,
    temporary_settings,
)

from platform_api.settings import Settings

CANCELLATION_POLL_SECONDS = 3.0
"""Where Prefect's event stream is away, which otherwise tells at once that a run is to be cancelled."""

SERVER_ERROR = "500"
"""What Prefect answers while its database is away; its client asks again, as it does where there is no answer."""


@contextmanager
def prefect_client(settings: Settings) -> Iterator[None]:
    """Inside it, everything of Prefect in this process speaks to the configured server and logs through our logs."""
    auth = settings.prefect.auth_string
    updates: dict[Any, Any] = {
        PREFECT_API_URL: settings.prefect.api_url,
        PREFECT_API_AUTH_STRING: auth.get_secret_value() if auth else None,
        PREFECT_API_REQUEST_TIMEOUT: max(settings.prefect.timeout_seconds, 30.0),
        PREFECT_CLIENT_RETRY_EXTRA_CODES: SERVER_ERROR,
        PREFECT_WORKER_QUERY_SECONDS: settings.runs.poll_seconds,
        PREFECT_WORKER_ENABLE_CANCELLATION: True,
        PREFECT_WORKER_CANCELLATION_POLL_SECONDS: CANCELLATION_POLL_SECONDS,
    }
    with temporary_settings(updates=updates):
        _log_once()
        yield


def _log_once() -> None:
    """Prefect gives the root logger a console of its own; ours is enough."""
    setup_logging()
    for handler in [each for each in logging.root.handlers if isinstance(each, PrefectConsoleHandler)]:
        logging.root.removeHandler(handler)
