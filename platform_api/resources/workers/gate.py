"""Lets runs begin whose CODE agents some worker can run, and says why there is none otherwise."""

from collections.abc import Iterable

from agents.code.backend import Language, SandboxUnavailable
from agents.errors import Problem
from agents.spec import AgentType
from flows.plan import Plan
from platform_api.access.scope import TenantScope
from platform_api.errors import ServiceUnavailable
from platform_api.resources.workers.repository import SandboxState, WorkerRows


class SandboxGate:
    """Asked before a run is admitted. A run that no worker has been asked about is found out in its sandbox alone."""

    def __init__(self, scope: TenantScope) -> None:
        self._workers = WorkerRows(scope.session)

    async def check(self, plan: Plan) -> None:
        """Raises `ServiceUnavailable` where workers live and each of them lacks a sandbox for the plan's code.

        Where none lives, or none that announces itself, the run waits for one.
        """
        languages = code_languages(plan)
        if languages is None:
            return
        workers = await self._workers.live()
        if workers and not any(each.sandbox and languages <= each.languages for each in workers):
            raise refused("; ".join(sorted(set(_lacks(workers, languages)))))


def code_languages(plan: Plan) -> frozenset[str] | None:
    """The languages of the plan's CODE agents and of those that are nested in it; None where it has no such agent."""
    agents = [agent for each in plan.family() for agent in each.agents.values() if agent.type is AgentType.CODE]
    if not agents:
        return None
    return frozenset(str(agent.config.get("language")) for agent in agents) & frozenset(Language)


def refused(why: str) -> ServiceUnavailable:
    """The answer where no code can be run; `details` have the code that a run's record would have."""
    problem = Problem(path="", code=SandboxUnavailable.default_code, message=why)
    return ServiceUnavailable(why, details=[problem])


def _lacks(workers: Iterable[SandboxState], languages: frozenset[str]) -> Iterable[str]:
    for worker in workers:
        if worker.sandbox:
            yield f"the sandbox {worker.sandbox} does not run {', '.join(sorted(languages - worker.languages))} there"
        elif worker.refusal:
            yield worker.refusal
