"""Fixtures for every test. Put new ones into a module of `tests/fixtures` and name it here."""

from hypothesis import HealthCheck, settings

settings.register_profile("turbocat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("turbocat")
"""How fast examples come depends on what else the machine does; what they show does not."""

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.http",
    "tests.fixtures.stack",
    "tests.fixtures.live",
    "tests.fixtures.s3",
    "tests.fixtures.node",
    "tests.fixtures.redis",
]
