"""What an LLM agent's config may say, and what is said against the rest."""

from typing import Any

import pytest

from agents.llm.config import llm_problems, tool_agents

GOOD: dict[str, Any] = {
    "model": "m",
    "systemPrompt": "s",
    "prompt": "{{ inputs.question }}",
    "temperature": 0.5,
    "maxTokens": 10,
    "responseSchema": {"type": "object"},
    "tools": [{"agentId": "a", "name": "look_up"}],
    "stream": False,
}


def test_a_whole_config_is_fine() -> None:
    assert llm_problems(GOOD) == []
    assert llm_problems({**GOOD, "temperature": "{{ inputs.heat }}", "messages": "{{ inputs.said }}"}) == []


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"model": None}, "model", "string"),
        ({"prompt": None}, "", "give a `prompt`, or `messages`"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"maxTokens": 0}, "maxTokens", "greater than or equal to 1"),
        ({"max_tokens_": 1}, "max_tokens_", "unknown field"),
        ({"memory": {"key": "x"}}, "memory", "hand earlier messages over in `messages`"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "'system', 'user' or 'assistant'"),
        ({"tools": [{"agentId": "a", "name": "two words"}]}, "tools[0].name", "letters, digits"),
        ({"tools": [{"agentId": "a", "name": "x"}, {"agentId": "b", "name": "x"}]}, "", "the same name"),
        ({"tools": "{{ inputs.tools }}"}, "tools", "cannot be a template"),
        ({"responseSchema": "{{ inputs.schema }}"}, "responseSchema", "cannot be a template"),
        ({"apiKey": "sk-secret"}, "apiKey", "unknown field"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(change: dict[str, Any], path: str, says: str) -> None:
    problems = llm_problems({**GOOD, **change})
    assert [problem.path for problem in problems] == [path]
    assert says in problems[0].message
    assert "sk-secret" not in problems[0].message


def test_the_agents_that_tools_name() -> None:
    assert tool_agents({"tools": [{"agentId": "a"}, {"agentId": "b"}, {"agentId": "a"}]}) == ("a", "b")
    assert tool_agents({"tools": [1, {"agentId": 2}]}) == tool_agents({"tools": "x"}) == tool_agents({}) == ()
