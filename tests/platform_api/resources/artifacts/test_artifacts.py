"""Listing, downloading and converting what runs have made."""

import datetime as dt
import hashlib
import io
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import polars as pl
import pytest

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import StepRun
from platform_api.kit.result_stores import open_result_store
from platform_api.settings import RunSettings, Settings
from tests.factories.api import Api, owner
from tests.factories.artifacts import make_dataset, make_file
from tests.factories.events import Running, waiting_run
from tests.fixtures.http import error_of

FRAME = pl.DataFrame({"city": ["Lissabon", "=1+1", None], "days": [3, -1, 7]})


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions) -> Running:
    run = await waiting_run(api, sessions)
    await run.begin()
    return run


async def listed(run: Running) -> list[dict[str, Any]]:
    answer = await run.api.get(f"/executions/{run.id}/artifacts")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def dataset(run: Running, settings: Settings, frame: pl.DataFrame = FRAME) -> str:
    """The id of a dataset's artifact."""
    await make_dataset(settings, run.journal, run.id, frame)
    return str((await listed(run))[-1]["id"])


class TestList:
    async def test_a_dataset_is_described(self, run: Running, settings: Settings) -> None:
        file = await make_dataset(settings, run.journal, run.id, FRAME)
        (artifact,) = await listed(run)
        assert artifact.pop("createdAt").endswith("Z")
        key = artifact.pop("id")
        assert artifact == {
            "executionId": str(run.id),
            "stepKey": "load",
            "path": "load",
            "attempt": 1,
            "name": "dataset.parquet",
            "mediaType": "application/vnd.apache.parquet",
            "bytes": file.bytes,
            "sha256": file.sha256,
            "rows": 3,
            "schema": {"city": "String", "days": "Int64"},
            "formats": ["csv", "parquet", "json", "arrow"],
            "downloadUrl": f"/api/v1/artifacts/{key}",
        }

    async def test_what_a_retry_took_over_is_listed_too(
        self, api: Api, run: Running, settings: Settings, sessions: Sessions
    ) -> None:
        made = await dataset(run, settings)
        first = (await api.get(f"/executions/{run.id}/steps")).json()["data"][0]["id"]
        later = await _took_over(api, sessions, UUID(first))
        last = await _took_over(api, sessions, await _only_step(later))
        for each in (later, last):
            (artifact,) = await listed(each)
            assert (artifact["id"], artifact["executionId"]) == (made, str(each.id))

    async def test_a_run_that_made_nothing_has_none(self, run: Running) -> None:
        assert await listed(run) == []

    async def test_others_see_nothing(self, run: Running, settings: Settings, client: httpx.AsyncClient) -> None:
        artifact, stranger = await dataset(run, settings), await owner(client)
        assert error_of(await stranger.get(f"/executions/{run.id}/artifacts"), 404, "NOT_FOUND")
        assert error_of(await stranger.get(f"/artifacts/{artifact}"), 404, "NOT_FOUND")


async def _took_over(api: Api, sessions: Sessions, step_run_id: UUID) -> Running:
    """A run whose step was reused."""
    run = await waiting_run(api, sessions)
    async with system_scope(sessions) as scope:
        step = StepRun(
            tenant_id=api.tenant_id,
            execution_id=run.id,
            step_key="load",
            path="load",
            status="COMPLETED",
            reused_from=step_run_id,
        )
        scope.session.add(step)
    return run


async def _only_step(run: Running) -> UUID:
    return UUID((await run.api.get(f"/executions/{run.id}/steps")).json()["data"][0]["id"])


class TestDownload:
    async def test_the_bytes_come_as_they_were_stored(self, run: Running, settings: Settings) -> None:
        file = await make_dataset(settings, run.journal, run.id, FRAME)
        artifact = (await listed(run))[0]
        answer = await run.api.send("GET", f"/artifacts/{artifact['id']}", **{"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == file.sha256
        assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
        assert answer.headers["Content-Length"] == str(file.bytes)
        assert answer.headers["ETag"] == f'"{file.sha256}"'
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''load-dataset.parquet"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    async def test_spans_put_together_are_the_file(self, run: Running, settings: Settings) -> None:
        content = bytes(range(256)) * 4096
        await make_file(settings, run, content, name="picture.png", media_type="image/png")
        path = f"/artifacts/{(await listed(run))[0]['id']}"
        tag = (await run.api.send("HEAD", path)).headers["ETag"]
        got = b""
        while len(got) < len(content):
            asked = {"Range": f"bytes={len(got)}-{len(got) + 399_999}", "If-Range": tag}
            answer = await run.api.send("GET", path, **asked)
            assert answer.status_code == 206
            stop = min(len(got) + 400_000, len(content))
            assert answer.headers["Content-Range"] == f"bytes {len(got)}-{stop - 1}/{len(content)}"
            got += answer.content
        assert got == content

    async def test_a_span_behind_the_end_is_refused(self, run: Running, settings: Settings) -> None:
        await make_file(settings, run, b"0123456789", name="ten.txt", media_type="text/plain")
        path = f"/artifacts/{(await listed(run))[0]['id']}"
        answer = await run.api.send("GET", path, Range="bytes=10-")
        error_of(answer, 416, "RANGE_NOT_SATISFIABLE")
        assert answer.headers["Content-Range"] == "bytes */10"
        whole = await run.api.send("GET", path, **{"Range": "bytes=10-", "If-Range": '"another"'})
        assert (whole.status_code, whole.content) == (200, b"0123456789")

    async def test_a_name_leads_nowhere(self, run: Running, settings: Settings) -> None:
        await make_file(settings, run, b"x", name='../../etc/"passwd\r\n.html', media_type="text/html")
        answer = await run.api.get(f"/artifacts/{(await listed(run))[0]['id']}")
        disposition = answer.headers["Content-Disposition"]
        assert disposition.startswith("attachment; filename*=UTF-8''draw-")
        assert not set('/\\"\r\n') & set(disposition.partition("''")[2])
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    async def test_a_file_that_is_gone_says_so(self, run: Running, settings: Settings) -> None:
        file = await make_dataset(settings, run.journal, run.id, FRAME)
        artifact = (await listed(run))[0]["id"]
        open_result_store(settings).locate(file.uri).unlink()
        for query in ("", "?format=csv"):
            error = error_of(await run.api.get(f"/artifacts/{artifact}{query}"), 404, "NOT_FOUND")
            assert "gone from the result store" in error["message"]

    async def test_it_comes_from_a_bucket_too(
        self, run: Running, settings: Settings, s3_settings: RunSettings, app: Any, tmp_path: Path
    ) -> None:
        apart = settings.model_copy(update={"runs": s3_settings, "data_dir": tmp_path / "worker"})
        file = await make_dataset(apart, run.journal, run.id, FRAME)
        here = settings.model_copy(update={"runs": s3_settings, "data_dir": tmp_path / "api"})
        app.state.downloads._store = open_result_store(here)
        answer = await run.api.get(f"/artifacts/{(await listed(run))[0]['id']}")
        assert hashlib.sha256(answer.content).hexdigest() == file.sha256


RICH = pl.DataFrame(
    {
        "when": [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), None],
        "day": [dt.date(2026, 1, 2), None],
        "amount": [Decimal("1.50"), None],
        "ratio": [float("nan"), 0.5],
        "tags": [["a", "b"], []],
        "place": [{"lat": 1.5}, {"lat": None}],
        "raw": [b"\x00\xff", None],
        "took": [dt.timedelta(seconds=90), None],
        "text": ['two\nlines "quoted", ü', "=1+1"],
    }
)


class TestConversion:
    async def converted(self, run: Running, artifact: str, wanted: str, **headers: str) -> httpx.Response:
        return await run.api.send("GET", f"/artifacts/{artifact}?format={wanted}", **headers)

    async def test_every_format_has_the_same_rows(self, run: Running, settings: Settings) -> None:
        artifact = await dataset(run, settings)
        answers = {name: await self.converted(run, artifact, name) for name in ("csv", "parquet", "json", "arrow")}
        assert {each.status_code for each in answers.values()} == {200}
        read = {
            "csv": pl.read_csv(answers["csv"].content),
            "parquet": pl.read_parquet(answers["parquet"].content),
            "json": pl.DataFrame(orjson.loads(answers["json"].content)),
            "arrow": pl.read_ipc(io.BytesIO(answers["arrow"].content)),
        }
        for frame in read.values():
            assert frame.to_dicts() == FRAME.to_dicts()
        assert answers["csv"].headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answers["json"].headers["Content-Disposition"].endswith("load-dataset.json")
        tags = {each.headers["ETag"] for each in answers.values()}
        assert len(tags) == 4

    async def test_a_cell_like_a_formula_stays_data(self, run: Running, settings: Settings) -> None:
        answer = await self.converted(run, await dataset(run, settings), "csv")
        assert answer.text == "city,days\nLissabon,3\n=1+1,-1\n,7\n"

    async def test_what_a_format_does_not_know_becomes_text(self, run: Running, settings: Settings) -> None:
        artifact = await dataset(run, settings, RICH)
        first = orjson.loads((await self.converted(run, artifact, "json")).content)[0]
        assert first["tags"] == ["a", "b"]
        assert first["place"] == {"lat": 1.5}
        assert (first["raw"], first["took"], first["ratio"]) == ("AP8=", 90.0, None)
        assert first["text"] == RICH["text"][0]
        assert first["day"] == "2026-01-02"
        table = pl.read_csv((await self.converted(run, artifact, "csv")).content)
        assert (table["tags"][0], table["place"][0], table["raw"][0]) == ('["a","b"]', '{"lat":1.5}', "AP8=")
        assert table["took"][0] == 90.0
        assert table["text"].to_list() == RICH["text"].to_list()

    async def test_a_table_without_rows_is_one_everywhere(self, run: Running, settings: Settings) -> None:
        artifact = await dataset(run, settings, FRAME.clear())
        assert (await self.converted(run, artifact, "json")).json() == []
        assert (await self.converted(run, artifact, "csv")).text == "city,days\n"

    async def test_many_rows_keep_their_order(self, run: Running, settings: Settings) -> None:
        artifact = await dataset(run, settings, pl.DataFrame({"n": range(300_000)}))
        rows = (await self.converted(run, artifact, "json")).json()
        assert [row["n"] for row in rows] == list(range(300_000))

    async def test_spans_of_a_conversion_fit_together(self, run: Running, settings: Settings) -> None:
        artifact = await dataset(run, settings, pl.DataFrame({"n": range(50_000)}))
        whole = await self.converted(run, artifact, "csv")
        tag = whole.headers["ETag"]
        rest = await self.converted(run, artifact, "csv", **{"Range": "bytes=1000-", "If-Range": tag})
        assert (rest.status_code, rest.content) == (206, whole.content[1000:])

    async def test_nothing_is_left_behind(self, run: Running, settings: Settings) -> None:
        artifact = await dataset(run, settings)
        await self.converted(run, artifact, "csv")
        assert list((settings.data_dir / "results" / "staging").iterdir()) == []

    @pytest.mark.parametrize("wanted", ["xlsx", "", "CSV", "../csv"])
    async def test_a_format_that_there_is_not_is_refused(self, run: Running, settings: Settings, wanted: str) -> None:
        artifact = await dataset(run, settings)
        assert error_of(await self.converted(run, artifact, wanted), 400, "VALIDATION_ERROR")

    async def test_what_is_no_table_is_not_converted(self, run: Running, settings: Settings) -> None:
        await make_file(settings, run, b"%PNG", name="chart.png", media_type="image/png")
        (artifact,) = await listed(run)
        assert artifact["formats"] == []
        error = error_of(await self.converted(run, artifact["id"], "csv"), 400, "VALIDATION_ERROR")
        assert "no table" in error["message"]

    async def test_a_damaged_table_says_so(self, run: Running, settings: Settings) -> None:
        await make_file(
            settings, run, b"no parquet", name="broken.parquet", media_type="application/vnd.apache.parquet"
        )
        artifact = (await listed(run))[0]["id"]
        error_of(await self.converted(run, artifact, "csv"), 400, "VALIDATION_ERROR")
        assert list((settings.data_dir / "results" / "staging").iterdir()) == []
