"""Files that data agents write: each tenant has a folder of its own, and what is shared is read only."""

from dataclasses import replace

import pytest

from deployments.local.services import PACKAGED_DATA
from tests.factories.api import owner, step
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

AIRLINES = "nycflights13/airlines.parquet"


async def read(live: Live, path: str) -> dict[str, object]:
    agent = await live.agent("DATA", {"source": {"path": path}, "operations": []})
    return await live.run(await live.api.active_workflow(steps=[step("read", agent)]))


async def write(live: Live, path: str) -> dict[str, object]:
    agent = await live.agent("DATA", {"source": {"rows": [{"mine": 1}]}, "operations": [], "sink": {"path": path}})
    return await live.run(await live.api.active_workflow(steps=[step("write", agent)]))


async def test_what_one_tenant_writes_no_other_reads(live: Live) -> None:
    other = replace(live, api=await owner(live.api.client))
    assert (await write(live, "reports/mine.csv"))["status"] == "COMPLETED"
    assert (await read(live, "reports/mine.csv"))["status"] == "COMPLETED"
    assert (await read(other, "reports/mine.csv"))["error"]["code"] == "PATH_NOT_FOUND"  # type: ignore[index]


async def test_shared_data_is_not_written_and_not_shadowed_for_others(live: Live) -> None:
    before = (PACKAGED_DATA / AIRLINES).read_bytes()
    other = replace(live, api=await owner(live.api.client))
    refused = await write(live, str(PACKAGED_DATA / AIRLINES))
    assert refused["error"]["code"] == "PATH_REFUSED"  # type: ignore[index]
    assert (await write(live, AIRLINES))["status"] == "COMPLETED"
    theirs = await read(other, AIRLINES)
    assert theirs["outputs"]["read"]["rows"] == 16  # type: ignore[index]
    assert (PACKAGED_DATA / AIRLINES).read_bytes() == before
