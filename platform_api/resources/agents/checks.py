"""What an agent must satisfy before it is stored, every problem at once."""

import asyncio
from collections.abc import Collection, Sequence

from agents.errors import Problem
from agents.spec import AgentType
from agents.validation import config_problems
from flows.compiler.agent_rules import config_template_problems
from flows.compiler.schemas import schema_problems
from platform_api.db.models import Agent
from platform_api.errors import ValidationFailed


async def check_agent(agent: Agent, *, known_secrets: Collection[str], also: Sequence[Problem] = ()) -> None:
    """Raises `ValidationFailed` with every problem and its path in the body, those of `also` among them."""
    problems = [*also, *await asyncio.to_thread(_problems, agent, known_secrets)]
    if problems:
        raise ValidationFailed(f"The agent has {len(problems)} problem(s); see details", details=problems)


def _problems(agent: Agent, known_secrets: Collection[str]) -> list[Problem]:
    kind, config = AgentType(agent.type), agent.config
    templates = config_template_problems(kind, config, known_secrets=known_secrets)
    return [
        *(problem.under("config") for problem in (*config_problems(kind, config), *templates)),
        *schema_problems(agent.input_schema, "inputSchema"),
        *schema_problems(agent.output_schema, "outputSchema"),
        *(schema_problems(config["responseSchema"], "config.responseSchema") if _answers_by_schema(agent) else ()),
    ]


def _answers_by_schema(agent: Agent) -> bool:
    """Whether it has a schema of which nothing else is told yet."""
    return agent.type == AgentType.LLM and isinstance(agent.config.get("responseSchema"), dict)
