"""What processes left behind that were killed while they wrote what they had measured: coverage would warn of each."""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

DATA_FILES = ".coverage.*"


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of pytest-cov's, which puts all files together at the end
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """The controller is the last to leave."""
    result = yield
    if not hasattr(session.config, "workerinput"):
        for file in session.config.rootpath.glob(DATA_FILES):
            if not is_whole(file):
                file.unlink(missing_ok=True)
    return result


def is_whole(file: Path) -> bool:
    """Whether coverage can read it: its tables are there."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as data:
            return data.execute("select count(*) from coverage_schema").fetchone()[0] > 0
    except sqlite3.Error:
        return False
