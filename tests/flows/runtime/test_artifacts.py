"""Artifacts go out in the background; what comes of them changes nothing for the run."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from flows.runtime import artifacts
from flows.runtime.artifacts import MOST_PER_RUN, Artifacts, artifact_key


@dataclass
class FakePrefect:
    """Takes artifacts after `delay`; refuses those whose key is in `refused`."""

    delay: float = 0.0
    refused: tuple[str, ...] = ()
    made: list[str] = field(default_factory=list)
    progress: list[Any] = field(default_factory=list)

    async def create_artifact(self, artifact: ArtifactCreate) -> Any:
        await asyncio.sleep(self.delay)
        if artifact.key in self.refused:
            raise ConnectionError(artifact.key)
        self.made.append(artifact.key or "")
        self.progress.append(artifact.data)
        return SimpleNamespace(id=uuid4())

    async def update_artifact(self, _id: object, artifact: ArtifactUpdate) -> None:
        self.progress.append(artifact.data)


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> FakePrefect:
    fake = FakePrefect()

    @asynccontextmanager
    async def client() -> AsyncIterator[FakePrefect]:
        yield fake

    monkeypatch.setattr(artifacts, "get_client", client)
    return fake


def named(key: str) -> ArtifactCreate:
    return ArtifactCreate(key=key, type="table", data="[]")


async def test_the_page_goes_before_the_tables_that_wait(prefect: FakePrefect) -> None:
    async with Artifacts() as sending:
        for number in range(5):
            sending.add(named(f"t{number}"))
        sending.add_first(named("page"))
    assert prefect.made == ["page", "t0", "t1", "t2", "t3", "t4"]


async def test_adding_never_waits_and_few_go_out_while_the_run_goes_on(prefect: FakePrefect) -> None:
    prefect.delay = 0.01
    async with Artifacts() as sending:
        for number in range(10):
            sending.add(named(f"t{number}"))
        assert prefect.made == []
        await asyncio.sleep(0.1)
        assert prefect.made == ["t0"]
    assert len(prefect.made) == 10


async def test_a_run_has_so_many_and_its_page(prefect: FakePrefect) -> None:
    async with Artifacts() as sending:
        for number in range(MOST_PER_RUN + 10):
            sending.add(named(f"t{number}"))
        sending.add_first(named("page"))
    assert len(prefect.made) == MOST_PER_RUN + 1


async def test_one_that_is_refused_holds_up_no_other(prefect: FakePrefect, caplog: pytest.LogCaptureFixture) -> None:
    prefect.refused = ("bad",)
    async with Artifacts() as sending:
        sending.add(named("bad"))
        sending.add(named("good"))
    assert prefect.made == ["good"]
    assert "did not take the artifact bad: ConnectionError" in caplog.text


async def test_an_end_waits_for_a_moment_only(prefect: FakePrefect) -> None:
    prefect.delay = 60
    begun = time.monotonic()
    async with Artifacts() as sending:
        sending.patience_seconds = 0.1
        sending.add(named("slow"))
    assert time.monotonic() - begun < 5
    assert prefect.made == []


async def defective_run() -> None:
    async with Artifacts() as sending:
        sending.add(named("slow"))
        raise KeyError("defect")


async def test_what_breaks_a_run_waits_for_nothing(prefect: FakePrefect) -> None:
    prefect.delay = 60
    begun = time.monotonic()
    with pytest.raises(KeyError):
        await defective_run()
    assert time.monotonic() - begun < 1.5


async def test_of_a_progress_the_newest_is_sent(prefect: FakePrefect) -> None:
    async with Artifacts() as sending:
        progress = sending.progress(named("each"))
        progress.tell(5)
        progress.tell(10)
        await asyncio.sleep(0.05)
        progress.tell(50)
        progress.tell(100)
    assert prefect.progress == [10, 100]


def test_a_key_is_what_prefect_allows() -> None:
    key = artifact_key("acme--late-flights", "Each_One.Step")
    assert key == "acme--late-flights--each-one-step"
    assert ArtifactCreate(key=key).key == key


async def test_a_picture_is_shown_from_its_file(prefect: FakePrefect, tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(b"png")
    (tmp_path / "large.png").write_bytes(b"p" * (artifacts.MOST_PICTURE_BYTES + 1))
    async with Artifacts(lambda uri: tmp_path / uri) as sending:
        for name in ("large.png", "missing.png", "small.png"):
            sending.add_picture(named(name.partition(".")[0]), name)
    assert (prefect.made, prefect.progress) == (["small"], ["data:image/png;base64,cG5n"])
