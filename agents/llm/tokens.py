"""How many tokens a text is, roughly: four bytes of UTF-8 each, and a few for each message.

Every vendor cuts texts in its own way, so this is what is reckoned with until the provider has said what it was.
English prose comes out within a fifth; code and tables have more tokens, hence the range of an estimate.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
ASSUMED_ANSWER = 4_096
"""Of an answer that nothing bounds."""
MOST_BYTES_PER_TOKEN, FEWEST_BYTES_PER_TOKEN = 5.0, 2.5


def byte_tokens(size: int) -> int:
    """Of a text with so many bytes; at least one for a text that is not empty."""
    return -(-size // BYTES_PER_TOKEN)


def text_tokens(text: str) -> int:
    """Of a text."""
    return byte_tokens(len(text.encode(errors="replace")))


def prompt_tokens(messages: Sequence[Mapping[str, Any]], *documents: Any) -> int:
    """Of all that is sent: messages, and what else the model reads (tools, a schema)."""
    return byte_tokens(prompt_bytes(messages, *documents)) + _overhead(messages)


def prompt_range(messages: Sequence[Mapping[str, Any]], *documents: Any) -> tuple[int, int]:
    """The fewest and the most tokens that it may reasonably be."""
    size, overhead = prompt_bytes(messages, *documents), _overhead(messages)
    return _rounded(size, MOST_BYTES_PER_TOKEN) + overhead, _rounded(size, FEWEST_BYTES_PER_TOKEN) + overhead


def prompt_bytes(messages: Sequence[Mapping[str, Any]], *documents: Any) -> int:
    """The bytes of what the model reads."""
    texts = [message.get("content") or "" for message in messages]
    calls = [message["tool_calls"] for message in messages if message.get("tool_calls")]
    written = [json.dumps(each) for each in (*documents, *calls) if each]
    return sum(len(text.encode(errors="replace")) for text in (*texts, *written))


def _overhead(messages: Sequence[Mapping[str, Any]]) -> int:
    return TOKENS_PER_MESSAGE * len(messages)


def _rounded(size: int, by: float) -> int:
    return -int(-size // by)
