"""Every route × every kind of caller × own, a colleague's, a colleague's public and another tenant's resource.

What must come out is computed here from the permission table and the rules of visibility (`tests.factories.world`),
never from the code under test. Cases 11 and 13: what is another tenant's is a 404 on every path and in no list.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from platform_api.access.permissions import Permission
from platform_api.access.principal import PlatformRole
from platform_api.access.roles import GRANTS
from platform_api.contract.answers import BASE_PATH
from platform_api.db.engine import Sessions
from platform_api.settings import Settings
from tests.factories.api import Api
from tests.factories.bodies import Bodies
from tests.factories.routes import Walked, walk
from tests.factories.world import KINDS, MANAGERS, NARROW, ROLES, Caller, Whose, World, kind_of, unhurried
from tests.fixtures.http import PASSWORD, error_of

pytestmark = pytest.mark.case(11, 13)

FINE = "2xx"
SOMETIMES: Mapping[tuple[str, str], Mapping[Caller | None, int]] = {
    ("POST", "/users/me/password"): {None: 400},  # the example's password is not theirs
    ("POST", "/auth/logout"): {Caller.PROJECT_KEY: 403},  # a project's key stands for nobody who has sessions
    ("GET", "/auth/sessions"): {Caller.PROJECT_KEY: 403},
    ("POST", "/executions/{execution_id}/preview"): {None: 404},  # none of its steps has run
    ("POST", "/executions/{execution_id}/resume"): {None: 409},  # it waits for nothing
    ("POST", "/executions/{execution_id}/retry"): {None: 409},  # it has not ended
}
"""Where a permitted call does not succeed as it stands, with what it answers; None is every caller."""


@dataclass(frozen=True)
class Cell:
    """One call and what must come of it."""

    route: Walked
    whose: Whose | None
    expected: int | str
    found: int
    said: str

    @property
    def wrong(self) -> bool:
        """Whether something else came of it."""
        return not 200 <= self.found < 300 if self.expected == FINE else self.found != self.expected

    def __str__(self) -> str:
        what = f"{self.route.method} {self.route.path.removeprefix(BASE_PATH)} ({self.route.permission})"
        return f"{what:75} {self.whose or '':22} expected {self.expected}, got {self.found} {self.said}"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return unhurried(settings, monkeypatch)


@pytest.fixture
async def world(client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> World:
    return await World.build(client, sessions, settings)


def routes(app: FastAPI) -> Iterator[Walked]:
    """Those with a permission, and the open ones that name something."""
    for each in walk(app):
        if each.permission is not None or "{" in each.path:
            yield each


def columns(route: Walked) -> list[Whose | None]:
    if "{" not in route.path:
        return [None]
    return [each for each in Whose if each is not Whose.PUBLIC or kind_of(below(route)).shareable]


def below(route: Walked) -> str:
    return route.path.removeprefix(BASE_PATH)


def permitted(caller: Caller, permission: Permission) -> bool:
    """The rule of the contract, said a second time and differently."""
    grant = GRANTS[permission]
    if caller is Caller.PROJECT_KEY:
        return grant.machine
    role, platform_role = ROLES[caller]
    if caller is Caller.NARROW_KEY and permission.value not in NARROW:
        return False
    if platform_role is PlatformRole.ADMIN:
        return True
    return role in grant.roles and (platform_role is PlatformRole.USER or grant.machine)


def expected(route: Walked, caller: Caller, whose: Whose | None) -> int | str:
    if route.permission is not None and caller is Caller.ANONYMOUS:
        return 401
    if route.permission is not None and not permitted(caller, route.permission):
        return 403
    action = route.permission.value.partition(":")[2] if route.permission is not None else "read"
    # On an open path a key without the scope is a visitor like any other.
    seen_as = Caller.ANONYMOUS if route.permission is None and caller is Caller.NARROW_KEY else caller
    if whose is not None and (refusal := kind_of(below(route)).refusal(seen_as, whose, action)):
        return refusal
    special = SOMETIMES.get((route.method, below(route)), {})
    return special.get(caller, special.get(None, FINE))


class Walk:
    """One kind of caller on its way along all routes."""

    def __init__(self, world: World, kind: Caller) -> None:
        self._world = world
        self._kind = kind
        self._bodies = Bodies(world)
        self._reader: Api | None = None
        self._made: dict[tuple[str, Whose], dict[str, str]] = {}

    async def cells(self, all_routes: list[Walked]) -> list[Cell]:
        return [await self._cell(route, whose) for route in all_routes for whose in columns(route)]

    async def _cell(self, route: Walked, whose: Whose | None) -> Cell:
        due = expected(route, self._kind, whose)
        harmless = route.method == "GET" or due != FINE
        if self._reader is None:
            self._reader = await self._world.caller(self._kind)
        caller = self._reader if harmless else await self._world.caller(self._kind)
        ids = {} if whose is None else await self._things(route, caller, whose, again=harmless)
        body = await self._bodies.of(route.method, route.path, whose)
        answer = await caller.send(route.method, below(route).format(**ids), body)
        cell = Cell(route, whose, due, answer.status_code, answer.text[:300])
        if not cell.wrong and answer.status_code >= 400:
            error_of(answer, answer.status_code, answer.json()["error"]["code"])
        return cell

    async def _things(self, route: Walked, caller: Api, whose: Whose, *, again: bool) -> dict[str, str]:
        """Ids for the path; what is not changed is made once."""
        kind = kind_of(below(route))
        if not again:
            return await kind.make(self._world, caller, whose)
        known = (kind.make.__name__, whose)
        if known not in self._made:
            self._made[known] = await kind.make(self._world, caller, whose)
        return self._made[known]


def test_every_path_parameter_is_of_a_kind_that_somebody_makes(app: FastAPI) -> None:
    """A new route with an id in its path needs a line in `KINDS`."""
    named = {below(each) for each in walk(app) if "{" in each.path}
    unknown = {path for path in named if not any(path == kind or path.startswith(kind + "/") for kind in KINDS)}
    assert unknown == set()
    assert {kind for kind in KINDS if not any(path.startswith(kind) for path in named)} == set()


@pytest.mark.slow
@pytest.mark.unmeasured
@pytest.mark.parametrize("kind", Caller)
async def test_every_route_and_resource(app: FastAPI, world: World, kind: Caller) -> None:
    """Cases 11 and 13."""
    cells = await Walk(world, kind).cells(list(routes(app)))
    assert len(cells) > 100
    wrong = [str(cell) for cell in cells if cell.wrong]
    assert not wrong, f"{len(wrong)} of {len(cells)} calls by {kind}:\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", [each for each in Caller if each is not Caller.ANONYMOUS])
async def test_no_list_shows_what_the_caller_may_not_read(app: FastAPI, world: World, kind: Caller) -> None:
    """Case 13: neither another tenant's rows, nor a colleague's private ones."""
    caller = await world.caller(kind)
    foreign, private = set(), set()
    for name, each in KINDS.items():
        if name == "/users/{user_id}":
            continue
        foreign |= set((await each.make(world, caller, Whose.FOREIGN)).values())
        if each.refusal(kind, Whose.PRIVATE, "read"):
            private |= set((await each.make(world, caller, Whose.PRIVATE)).values())
    hidden = {each for each in foreign | private if re.fullmatch(r"[0-9a-f-]{36}|S[0-9a-f]{32}", each)}
    for route in walk(app):
        if route.method != "GET" or "{" in route.path or not route.path.startswith(BASE_PATH):
            continue
        if route.path == f"{BASE_PATH}/users":  # the platform administrator's alone, over all tenants
            continue
        answer = await caller.get(below(route))
        shown = {each for each in hidden if each in answer.text}
        assert shown == set(), (route.path, answer.text)


def test_the_sample_of_callers_is_whole() -> None:
    assert set(ROLES) | {Caller.ANONYMOUS, Caller.PROJECT_KEY} == set(Caller)
    assert set(ROLES) >= MANAGERS
    assert PASSWORD != "Lovelace-1815"
