"""The test run's own server: what a killed run left behind is ended by the next one, a living run's is not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.postgres import EmbeddedPostgres
from tests.fixtures import database


@pytest.fixture
def abandoned(monkeypatch: pytest.MonkeyPatch, cluster: EmbeddedPostgres) -> Iterator[Path]:
    """A folder of a run whose controller has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(database, "PREFIX", "turbocat-gone-")
    folder = cluster.data_dir.parents[1] / f"turbocat-gone-{ended.pid}-0"
    (folder / "pg").mkdir(parents=True)
    yield folder
    database._remove(folder)


def test_the_folder_of_a_run_that_is_gone_is_removed(abandoned: Path) -> None:
    living = abandoned.with_name(f"turbocat-gone-{os.getpid()}-0")
    living.mkdir()
    database._remove_abandoned()
    assert not abandoned.exists()
    assert living.exists()
    living.rmdir()


def test_workers_share_one_server_and_have_a_database_each(cluster: EmbeddedPostgres, database_url: str) -> None:
    assert database_url.startswith("postgresql://postgres@/shared_")
    assert str(cluster.socket_dir).replace("/", "%2F") in database_url
    assert (cluster.data_dir.parent / "ready").exists()
