"""What the processes of the stack are told."""

import socket
from pathlib import Path

import pytest

from deployments.local.files import DataFolder
from deployments.local.gate import Gate
from deployments.local.services import Blueprint, prefect_environment

LATE_RUNS = "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS"


@pytest.mark.parametrize(("given", "told"), [({}, "15"), ({LATE_RUNS: "5"}, "5")])
def test_prefects_server_takes_its_time_unless_it_is_told_otherwise(
    tmp_path: Path, given: dict[str, str], told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as api, socket.create_server(("127.0.0.1", 0)) as prefect:
        plan = Blueprint(
            folder=DataFolder(tmp_path),
            given=given,
            keys={"PREFECT_API_AUTH_STRING": "turbocat:x"},
            api_socket=api,
            prefect_socket=prefect,
            database_url="postgresql://",
            prefect_database_url="postgresql+asyncpg://",
            database=Gate(),
            schema=Gate(),
        )
        assert prefect_environment(plan)[LATE_RUNS] == told
