"""A run that waits is no failure in Prefect's eyes either."""

import logging

import pytest
from prefect.states import Failed, Suspended

import flows.runtime.suspension  # noqa: F401  # calms Prefect's logger


@pytest.mark.parametrize(("state", "level"), [(Suspended(), "INFO"), (Failed(message="no"), "ERROR")])
def test_that_a_run_waits_is_logged_as_no_error(state: object, level: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("prefect.flow_runs")
    with caplog.at_level(logging.INFO, logger.name):
        logger.addHandler(caplog.handler)
        logger.error(f"Finished in state {state}")
        logger.removeHandler(caplog.handler)
    assert caplog.records[0].levelname == level
