"""Keeps secrets out of text and JSON that end up in a record: messages, log lines, inputs, outputs.

Each secret is found as it is and in the forms that programs turn it into without meaning to: base64 (also inside a
longer text, such as `user:password`), hexadecimal, percent-encoded, escaped for JSON, HTML or Python, and line by line.
What cuts it up or changes it on purpose is not found; masking is the net, not the fence.
"""

import base64
import html
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Shorter secrets are not masked: they would be found in ordinary words."""
SHORTEST_PART = 8
"""The same for what is only a part of a secret: one line of it, or its middle in base64."""
MAX_LEVELS = 250
"""Of lists and objects; what lies deeper is replaced as a whole."""


class Masking:
    """Replaces each secret, in each of its forms, by `***`."""

    def __init__(self) -> None:
        self._forms: list[str] = []
        self._secrets: set[str] = set()

    def add(self, secret: str) -> None:
        """From now on. Longer forms go first: one may hold another."""
        if len(secret) >= SHORTEST and secret not in self._secrets:
            self._secrets.add(secret)
            self._forms = sorted({*self._forms, *_forms(secret)}, key=len, reverse=True)

    @property
    def is_needed(self) -> bool:
        """Whether there is any secret to look for."""
        return bool(self._forms)

    def settled(self, text: str) -> int:
        """How much of the start of `text` can be shown by itself, whatever comes after: it cuts no secret in two."""
        cut = min((_begun(form, text) for form in self._forms), default=len(text))
        moved = True
        while moved:
            moved = False
            for form in self._forms:
                start = text.find(form, max(cut - len(form) + 1, 0), cut + len(form) - 1)
                if start != -1:
                    cut, moved = start, True
        return cut

    def __call__(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def json(self, value: Any) -> Any:
        """JSON data without the secrets, in keys too; a number that is a whole secret is replaced as well."""
        return self._json(value, 0) if self._forms else value

    def _json(self, value: Any, level: int) -> Any:
        if isinstance(value, str):
            return self(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return MASK if str(value) in self._secrets else value
        if level > MAX_LEVELS:
            return MASK
        if isinstance(value, dict):
            return {
                self(key) if isinstance(key, str) else key: self._json(item, level + 1) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._json(item, level + 1) for item in value]
        return value


def _forms(secret: str) -> set[str]:
    """Never one that is shorter than what is masked at all."""
    texts = {secret, secret.strip()}
    whole = {transform(text) for text in texts for transform in _TRANSFORMS}
    lines = {line for line in secret.splitlines() if len(line) >= SHORTEST_PART}
    parts = {part for text in texts for part in _in_base64(text)}
    return {form for form in texts | whole | lines | parts if len(form) >= SHORTEST}


def _begun(form: str, text: str) -> int:
    """Where the end of `text` is the beginning of `form`, at the earliest; its length where it is not."""
    start = text.find(form[0], max(len(text) - len(form) + 1, 0))
    while start != -1:
        if form.startswith(text[start:]):
            return start
        start = text.find(form[0], start + 1)
    return len(text)


def _base64(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()


def _urlsafe(secret: str) -> str:
    return base64.urlsafe_b64encode(secret.encode()).decode()


def _lower_percent(secret: str) -> str:
    return "".join(
        part if not part.startswith("%") else part.lower() for part in _percent_parts(quote(secret, safe=""))
    )


def _percent_parts(quoted: str) -> Iterator[str]:
    position = 0
    while position < len(quoted):
        length = 3 if quoted[position] == "%" else 1
        yield quoted[position : position + length]
        position += length


def _in_base64(secret: str) -> Iterator[str]:
    """What stays the same of the secret in base64 of a longer text, wherever it stands in there."""
    raw = secret.encode()
    for before in range(3):
        after = -(before + len(raw)) % 3
        encoded = base64.b64encode(b"\0" * before + raw + b"\0" * after).decode()
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        middle = encoded[first:last]
        if len(middle) >= SHORTEST_PART:
            yield middle
            yield middle.replace("+", "-").replace("/", "_")


_TRANSFORMS: tuple[Callable[[str], str], ...] = (
    quote,
    quote_plus,
    lambda secret: quote(secret, safe=""),
    _lower_percent,
    _base64,
    lambda secret: _base64(secret).rstrip("="),
    _urlsafe,
    lambda secret: _urlsafe(secret).rstrip("="),
    lambda secret: secret.encode().hex(),
    lambda secret: secret.encode().hex().upper(),
    lambda secret: json.dumps(secret)[1:-1],
    lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    html.escape,
    lambda secret: repr(secret)[1:-1],
)
