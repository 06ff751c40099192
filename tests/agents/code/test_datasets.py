"""Tables that come in as files and go out as references."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.code.executor import CodeExecutor
from agents.code.selection import Selection
from agents.context import AgentContext
from agents.errors import InputInvalid, OutputInvalid
from agents.result import DatasetRef
from agents.spec import AgentSpec, AgentType, Limits
from platform_api.kit.result_store import LocalResultStore
from tests.agents.code.conftest import Lines

DOUBLE = """
import polars as pl
def main(input):
    rows = pl.read_parquet(input['table']['path']).with_columns(double=pl.col('a') * 2)
    rows.write_parquet('out/rows.parquet')
    return {'rows': rows.height, 'dataset': {'path': 'out/rows.parquet'}}
"""


@pytest.fixture
def store(tmp_path: Path) -> LocalResultStore:
    return LocalResultStore(tmp_path)


async def kept(store: LocalResultStore, frame: pl.DataFrame) -> dict[str, Any]:
    staged = store.stage()
    frame.write_parquet(staged)
    reference = await store.keep(staged, rows=frame.height, columns={"a": "Int64"})
    return reference.model_dump(mode="json", by_alias=True)


async def ran(sandbox: Selection, store: LocalResultStore, code: str, inputs: dict[str, Any]) -> Any:
    config = {"language": "python", "code": code, "startup": "prewarmed", "memoryMb": 512}
    spec = AgentSpec(id="a1", version=1, name="coder", type=AgentType.CODE, config=config)
    context = AgentContext(limits=Limits(timeout_seconds=100), log=Lines(), datasets=store, idempotency_key="k")
    return (await CodeExecutor(sandbox).run(spec, inputs, context)).output


async def test_a_table_comes_in_and_another_goes_out(sandbox: Selection, store: LocalResultStore) -> None:
    table = await kept(store, pl.DataFrame({"a": [1, 2, 3]}))
    output = await ran(sandbox, store, DOUBLE, {"table": table})
    assert output["rows"] == 3
    reference = DatasetRef.model_validate(output["dataset"])
    assert reference.columns == {"a": "Int64", "double": "Int64"}
    assert pl.read_parquet(store.locate(reference.uri))["double"].to_list() == [2, 4, 6]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("return {'path': 'out/missing.parquet'}", "has not written"),
        ("open('out/x.parquet', 'w').write('no table'); return [{'path': 'out/x.parquet'}]", "no Parquet file"),
        ("os.symlink('/etc/passwd', 'out/x.parquet'); return {'path': 'out/x.parquet'}", "has not written"),
    ],
)
async def test_what_is_no_table_is_no_output(sandbox: Selection, store: LocalResultStore, body: str, part: str) -> None:
    with pytest.raises(OutputInvalid, match=part):
        await ran(sandbox, store, f"import os\ndef main(input):\n    {body}", {})


async def test_other_paths_are_left_as_they_are(sandbox: Selection, store: LocalResultStore) -> None:
    result = [{"path": "/etc/passwd"}, {"path": "out/a/b.parquet"}, {"path": 5}, {"path": "out/x.parquet", "more": 1}]
    assert await ran(sandbox, store, f"def main(input):\n    return {result!r}", {}) == result


async def test_a_reference_that_no_store_gave_out_is_refused(sandbox: Selection, store: LocalResultStore) -> None:
    for uri in ("tc://../../etc/passwd.parquet", f"tc://ab/{'a' * 64}.parquet"):
        with pytest.raises(InputInvalid):
            await ran(sandbox, store, "def main(input): ...", {"table": {"uri": uri}})
