import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.data.charts import rendering
from agents.errors import AgentTimeout, ConfigInvalid, DataFailed
from tests.agents.data.conftest import FolderDatasets, Run

ROWS = [{"carrier": "UA", "delay": 12.5}, {"carrier": "AA", "delay": 3.0}]


def bars(**rest: Any) -> dict[str, Any]:
    chart = {"kind": "bar", "x": "carrier", "y": "delay", "title": "Delay", **rest}
    return {"source": {"rows": ROWS}, "operations": [], "chart": chart}


async def test_pictures_are_artifacts_of_the_run(run: Run, datasets: FolderDatasets) -> None:
    result = await run(bars())
    assert [(file.name, file.media_type) for file in result.artifacts] == [
        ("dataset.parquet", "application/vnd.apache.parquet"),
        ("chart.png", "image/png"),
        ("chart.svg", "image/svg+xml"),
        ("chart.html", "text/html"),
    ]
    kept = {file.name: datasets.locate(file.uri).read_bytes() for file in result.artifacts}
    assert kept["chart.png"].startswith(b"\x89PNG")
    assert kept["chart.svg"].startswith(b"<svg")
    assert kept["chart.html"].startswith(b"<!doctype html>")
    assert result.output["chart"]["png"] == {"uri": result.artifacts[1].uri, "bytes": len(kept["chart.png"])}
    assert datasets.staged_files() == []


async def test_a_chart_that_does_not_fit_fails_before_anything_is_read(run: Run, datasets: FolderDatasets) -> None:
    with pytest.raises(
        DataFailed, match=r'chart \(bar\): column "carier" not found; .* did you mean "carrier"'
    ) as caught:
        await run(bars(x="carier"))
    assert caught.value.path == "chart"
    with pytest.raises(ConfigInvalid, match=r"chart.kind: 'pie' is unknown; there are: bar"):
        await run(bars(kind="pie"))
    assert list(datasets.folder.iterdir()) == []


async def test_a_cancelled_step_ends_the_drawing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child that takes for ever stands for the engine."""
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(rendering, "MODULE", "endless")
    task = asyncio.ensure_future(run(bars()))
    while not (children := _drawing()):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(child.is_running() for child in children)
    monkeypatch.setattr(rendering, "SECONDS", 0.2)
    with pytest.raises(AgentTimeout, match="could not be drawn"):
        await run(bars())
    assert _drawing() == []


def _drawing() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "endless" in " ".join(child.cmdline())]


async def test_a_drawing_that_fails_says_why(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('no ink')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(rendering, "MODULE", "broken")
    with pytest.raises(DataFailed, match="chart: it could not be drawn: ValueError: no ink"):
        await run(bars())
