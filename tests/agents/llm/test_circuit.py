"""Providers that fail are left alone, and tried again by one call."""

from agents.llm.circuit import COOL_DOWN_SECONDS, FAILURES, LONGEST_REST_SECONDS, Circuits


def test_after_some_failures_one_call_tries_again() -> None:
    now = [100.0]
    circuits = Circuits(lambda: now[0])
    for _ in range(FAILURES):
        assert circuits.rest("p") == 0
        circuits.failed("p", None)
    assert circuits.rest("p") == COOL_DOWN_SECONDS
    assert circuits.rest("other") == 0
    now[0] += COOL_DOWN_SECONDS
    assert circuits.rest("p") == 0
    circuits.began("p")
    assert circuits.rest("p") == COOL_DOWN_SECONDS, "the others wait for what comes of the trial"
    circuits.answered("p")
    assert circuits.rest("p") == 0


def test_what_a_provider_asks_for_counts_at_once_and_within_reason() -> None:
    circuits = Circuits(lambda: 0.0)
    circuits.failed("p", 7.0)
    assert circuits.rest("p") == 7.0
    circuits.failed("p", 1e9)
    assert circuits.rest("p") == LONGEST_REST_SECONDS
    circuits.answered("p")
    circuits.failed("p", None)
    assert circuits.rest("p") == 0, "failures count in a row"
