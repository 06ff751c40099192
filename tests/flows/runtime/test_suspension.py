"""A run that waits is no failure in Prefect's eyes either."""

import logging

import pytest
from prefect.states import Failed, Suspended

import flows.runtime.suspension  # noqa: F401  # calms Prefect's logger


@pytest.mark.parametrize(("state", "level"), [(Suspended(), "INFO"), (Failed(message="no"), "ERROR")])
def test_that_a_run_waits_is_logged_as_no_error(state: object, level: str) -> None:
    """Filtered, not handled: Prefect's handler sends lines to a server, and there is no run here."""
    logger = logging.getLogger("prefect.flow_runs")
    line = logger.makeRecord(logger.name, logging.ERROR, __file__, 1, f"Finished in state {state}", (), None)
    assert logger.filter(line)
    assert line.levelname == level
