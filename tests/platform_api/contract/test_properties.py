"""Every operation with generated calls, sound and unsound: no 500, no status and no shape that the document lacks.

Schemathesis makes the calls from the document; each operation gets some with ids that exist and some with any. The
seed is fixed, so that a finding comes again.
"""

import asyncio
import contextlib
import copy
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from platform_api.contract.answers import BASE_PATH
from platform_api.db.engine import Sessions
from platform_api.kit.ids import new_id
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, owner
from tests.factories.bodies import Bodies, document
from tests.factories.world import Caller, Whose, World, kind_of, unhurried
from tests.fixtures.http import error_of

BASE_URL = "http://api.example.com"
EXAMPLES = 8
"""Calls for each operation, each mode and each filling: about 2,400 in all, in about a minute of one core."""

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
BARE = {"/health", "/api/health", "/ready", "/metrics"}
"""Paths whose failure has no envelope."""


def tags() -> list[str]:
    """One test for each, so that they run side by side."""
    paths = document()["paths"].values()
    return sorted({tag for item in paths for operation in item.values() for tag in operation["tags"]})


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return unhurried(settings, monkeypatch)


class Abandoned(BaseException):
    """The test is over, run out of time perhaps; no `Exception`, so that Hypothesis does not look for a smaller one."""


class Fuzzer:
    """Sends what Schemathesis makes, from the thread that Hypothesis runs in; `over` ends it with the test."""

    def __init__(self, client: httpx.AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self.over = threading.Event()
        self.sent = 0
        self.statuses: set[int] = set()

    def fuzz(self, operation: Any, mode: GenerationMode, caller: Api, **fixed: Any) -> None:
        """One operation, with what is `fixed` of its calls; raises for the first finding, as small as it gets."""
        cases = operation.as_strategy(generation_mode=mode, **fixed)

        @_SETTINGS
        @given(case=cases)
        def every(case: Any) -> None:
            self._check(case, caller.headers)

        # What takes nothing cannot be called wrongly.
        with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
            every()

    def _check(self, case: Any, headers: Mapping[str, str]) -> None:
        prepared = _prepared(case, headers)
        if prepared is None:
            return
        if self.over.is_set():
            raise Abandoned
        answer = asyncio.run_coroutine_threadsafe(self._send(prepared), self._loop).result(30)
        self.sent += 1
        self.statuses.add(answer.status_code)
        assert answer.status_code != 500, answer.text
        case.validate_response(answer, checks=_CHECKS, headers=dict(prepared.headers))
        if answer.status_code >= 400 and case.operation.path not in BARE:
            error_of(answer, answer.status_code, answer.json()["error"]["code"])

    async def _send(self, prepared: requests.PreparedRequest) -> httpx.Response:
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        headers = [(str(name).encode(), _raw(value)) for name, value in prepared.headers.items()]
        return await self._client.request(str(prepared.method), str(prepared.url), headers=headers, content=body)


_CHECKS: list[CheckFunction] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
_PARTS = {"method", "url", "headers", "params", "json", "data", "cookies"}
_SETTINGS = hypothesis_settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def _prepared(case: Any, headers: Mapping[str, str]) -> requests.PreparedRequest | None:
    """The call as bytes; None where HTTP has no way to say it."""
    kwargs = case.as_transport_kwargs(base_url=BASE_URL, headers=dict(headers))
    known = {
        key: kwargs[key] for key in ("method", "url", "headers", "params", "json", "data", "cookies") if key in kwargs
    }
    try:
        return requests.Request(**known).prepare()
    except (requests.exceptions.InvalidHeader, UnicodeError, ValueError):
        return None


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")


def operations(contract: dict[str, Any], tag: str) -> Iterator[Any]:
    """The tag's, those that delete last."""
    load_all_checks()
    found = [result.ok() for result in from_dict(contract).get_all_operations()]
    yield from sorted((each for each in found if tag in each.tags), key=lambda each: each.method == "delete")


async def fillings(world: World, caller: Api, operation: Any) -> list[dict[str, Any]]:
    """What to fix: nothing, ids that exist, and with them the body that the document shows."""
    path = operation.path
    made = await kind_of(path.removeprefix(BASE_PATH)).make(world, caller, Whose.OWN) if "{" in path else {}
    ids = {name: value for name, value in made.items() if f"{{{name}}}" in path}
    found: list[dict[str, Any]] = [{}, *([{"path_parameters": ids}] if ids else [])]
    body = await Bodies(world).of(operation.method.upper(), path)
    return found if body is None else [*found, {**found[-1], "body": body, "media_type": "application/json"}]


@pytest.mark.slow
@pytest.mark.unmeasured  # each of these routes has tests of its own, which say what has to come out
@pytest.mark.timeout(240)  # a machine that is five times slower than most
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the application may, on the event loop beside
@pytest.mark.parametrize("tag", tags())
async def test_no_surprise(client: httpx.AsyncClient, sessions: Sessions, settings: Settings, tag: str) -> None:
    world = await World.build(client, sessions, settings)
    fuzzer = Fuzzer(client, asyncio.get_running_loop())
    try:
        for operation in operations(document(), tag):
            for mode in MODES:
                caller = await world.caller(Caller.PLATFORM_ADMIN)  # the one who may everything
                for fixed in await fillings(world, caller, operation):
                    await asyncio.to_thread(partial(fuzzer.fuzz, operation, mode, caller, **fixed))
    finally:
        fuzzer.over.set()
    assert fuzzer.sent > 0
    assert any(status < 300 for status in fuzzer.statuses), fuzzer.statuses


async def test_an_answer_that_the_document_lacks_is_found(client: httpx.AsyncClient) -> None:
    """The walk above finds what it is for."""
    loop, caller = asyncio.get_running_loop(), await owner(client)
    agent = await caller.made("/agents", agent_body())
    for spoil, finding, ids in (
        (_forget_the_404, "Undocumented status code", {"agent_id": str(new_id())}),
        (_want_a_number, "Response violates schema", {"agent_id": agent["id"]}),
    ):
        spoiled = copy.deepcopy(document())
        spoil(spoiled)
        (operation,) = (
            each for each in operations(spoiled, "Agents") if each.definition.raw["operationId"] == "getAgent"
        )
        fuzz = partial(Fuzzer(client, loop).fuzz, operation, GenerationMode.POSITIVE, caller, path_parameters=ids)
        with pytest.raises(FailureGroup, match=finding):
            await asyncio.to_thread(fuzz)


def _forget_the_404(contract: dict[str, Any]) -> None:
    del contract["paths"][f"{BASE_PATH}/agents/{{agent_id}}"]["get"]["responses"]["404"]


def _want_a_number(contract: dict[str, Any]) -> None:
    contract["components"]["schemas"]["AgentView"]["properties"]["name"] = {"type": "number"}
