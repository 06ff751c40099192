"""Fixtures for every test. Put new ones into a module of `tests/fixtures` and name it here."""

import gc

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.fixtures.groups import GroupScheduling

settings.register_profile("turbocat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("turbocat")
"""How fast examples come depends on what else the machine does; what they show does not."""

pytest_plugins = [
    "tests.bars.coverage_data",
    "tests.bars.unmeasured",
    "tests.fixtures.database",
    "tests.fixtures.http",
    "tests.fixtures.wired",
    "tests.fixtures.stack",
    "tests.fixtures.live",
    "tests.fixtures.s3",
    "tests.fixtures.node",
    "tests.fixtures.redis",
    "tests.fixtures.engine",
]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Asked for by xdist, where tests run in several processes."""
    return GroupScheduling(config, log)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no text are called by their parameter: compressed ones hold the time, and ids must not differ."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: looking for garbage in it again and again took a quarter of the time."""
    gc.collect()
    gc.freeze()
