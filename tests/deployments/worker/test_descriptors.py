"""A worker is not stopped by the number of open files that machines start with."""

import resource
from collections.abc import Iterator

import pytest

from deployments.worker import descriptors


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_as_this_user_may_have() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    descriptors.allow_enough()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, descriptors.ENOUGH), hard)


def test_what_is_enough_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "ENOUGH", 512)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors.allow_enough()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
