from pathlib import Path

import polars as pl
import pytest

from agents.data.memory import MemoryLimit
from agents.data.stopping import StopSignal
from agents.errors import LimitExceeded
from platform_api.errors import ServiceUnavailable
from platform_api.resources.artifacts.conversion import MEDIA_TYPES, convert
from platform_api.resources.artifacts.schemas import Format


@pytest.mark.parametrize("wanted", [Format.CSV, Format.JSON, Format.ARROW])
def test_a_conversion_that_takes_too_much_memory_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: Format
) -> None:
    def exceeded(_: MemoryLimit) -> None:
        raise LimitExceeded("the query was stopped at 9 MiB of memory", code="MEMORY_LIMIT")

    monkeypatch.setattr(MemoryLimit, "check", exceeded)
    source = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(100)}).write_parquet(source)
    with pytest.raises(ServiceUnavailable, match="take it as stored, or try again later"):
        convert(source, MEDIA_TYPES[Format.PARQUET], wanted, tmp_path / "t", StopSignal())
