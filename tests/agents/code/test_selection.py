"""Which sandbox is taken: the strongest that holds, or the one that is asked for; never another in its place."""

from dataclasses import replace

import pytest

from agents.code.backend import Limits, Outcome, Probe, Program, SandboxBackend, SandboxUnavailable, Streams
from agents.code.backends import selection
from agents.code.executor import CodeExecutor
from agents.code.selection import SandboxChoice, Selection
from agents.spec import AgentSpec, AgentType
from tests.agents.code.conftest import Lines, context_of

pytestmark = pytest.mark.case(40)

CONFIG = {"language": "python", "code": "def main(input): ..."}
SPEC = AgentSpec(id="a1", version=1, name="coder", type=AgentType.CODE, config=CONFIG)


class Fake:
    """A sandbox that works or does not, and counts."""

    def __init__(self, name: str, *, works: bool = True, safe: bool = True) -> None:
        self.name, self.safe, self.works = name, safe, works
        self.probed = self.ran = self.closed = 0

    async def probe(self) -> Probe:
        self.probed += 1
        return Probe(available=self.works, reason="" if self.works else f"no {self.name} here")

    async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
        self.ran += 1
        if not self.works:
            raise SandboxUnavailable("gone")
        return Outcome(answer=b'{"ok": true, "result": "' + self.name.encode() + b'"}', exit_code=0)

    async def aclose(self) -> None:
        self.closed += 1


def four(**works: bool) -> list[SandboxBackend]:
    names = ("namespace", "docker", "landlock")
    safe: list[SandboxBackend] = [Fake(name, works=works.get(name, True)) for name in names]
    return [*safe, Fake("unsafe-local", safe=False)]


@pytest.mark.parametrize(
    ("broken", "taken"),
    [((), "namespace"), (("namespace",), "docker"), (("namespace", "docker"), "landlock")],
)
async def test_auto_takes_the_strongest_that_works(broken: tuple[str, ...], taken: str) -> None:
    chosen = Selection(SandboxChoice.AUTO, four(**dict.fromkeys(broken, False)))
    assert (await chosen.backend()).name == taken


async def test_auto_never_takes_the_unsafe_one() -> None:
    backends = four(namespace=False, docker=False, landlock=False)
    with pytest.raises(SandboxUnavailable) as caught:
        await Selection(SandboxChoice.AUTO, backends).backend()
    assert caught.value.code == "SANDBOX_UNAVAILABLE"
    for name in ("namespace", "docker", "landlock"):
        assert f"no {name} here" in caught.value.message
    assert backends[-1].probed == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("choice", [choice for choice in SandboxChoice if choice is not SandboxChoice.AUTO])
async def test_a_named_one_is_the_only_one_tried(choice: SandboxChoice) -> None:
    backends = four()
    assert (await Selection(choice, backends).backend()).name == choice.value
    assert sum(each.probed for each in backends) == 1  # type: ignore[attr-defined]
    with pytest.raises(SandboxUnavailable):
        await Selection(choice, [Fake(choice.value, works=False)]).backend()


async def test_one_that_stops_working_is_not_replaced_by_a_weaker_one() -> None:
    backends = four()
    chosen = Selection(SandboxChoice.AUTO, backends)
    executor = CodeExecutor(chosen)
    assert await ran(executor) == "namespace"
    backends[0].works = False  # type: ignore[attr-defined]
    with pytest.raises(SandboxUnavailable, match="gone"):
        await ran(executor)
    assert [each.ran for each in backends] == [2, 0, 0, 0]  # type: ignore[attr-defined]


async def test_where_none_was_found_the_next_call_looks_again() -> None:
    only = Fake("namespace", works=False)
    chosen = Selection(SandboxChoice.AUTO, [only])
    with pytest.raises(SandboxUnavailable):
        await chosen.backend()
    only.works = True
    assert (await chosen.backend()).name == "namespace"
    assert only.probed == 2
    assert only.closed == 1


async def test_it_is_tried_once() -> None:
    only = Fake("namespace")
    chosen = Selection(SandboxChoice.AUTO, [only])
    for _ in range(3):
        await chosen.backend()
    assert only.probed == 1


async def test_a_run_without_a_sandbox_says_so_each_time() -> None:
    executor, log = CodeExecutor(Selection(SandboxChoice.UNSAFE_LOCAL, four())), Lines()
    for _ in range(2):
        await ran(executor, log)
    assert [level for level, _ in log.written] == ["WARN", "WARN"]
    assert "unsafe-local" in log.text[0]


@pytest.mark.parametrize(("choice", "name"), [(SandboxChoice.AUTO, "namespace"), (SandboxChoice.UNSAFE_LOCAL,) * 2])
async def test_where_it_runs_is_told_before_it_does(choice: SandboxChoice, name: str) -> None:
    """So that a run which fails, or never ends, has it on record as well."""
    seen: list[str] = []

    class Fails(Fake):
        async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
            assert seen == [name]
            raise SandboxUnavailable("gone")

    context = replace(context_of(Lines()), tell_sandbox=seen.append)
    with pytest.raises(SandboxUnavailable):
        await CodeExecutor(Selection(choice, [Fails(name, safe=name == "namespace")])).run(SPEC, {}, context)
    assert seen == [name]


async def test_what_there_is_here_is_ordered_from_strong_to_weak() -> None:
    chosen = selection(SandboxChoice.UNSAFE_LOCAL)
    try:
        assert not (await chosen.backend()).safe
    finally:
        await chosen.aclose()


async def ran(executor: CodeExecutor, log: Lines | None = None) -> object:
    return (await executor.run(SPEC, {}, context_of(log or Lines()))).output
