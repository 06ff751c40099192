"""What an attempt to escape is made of, and how its outcome is judged."""

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agents.code.backend import MIB, Language, Limits, Outcome, Reason

BOUNDS = Limits(
    memory_bytes=128 * MIB, disk_bytes=32 * MIB, cpu_seconds=6, wall_seconds=100, processes=32, open_files=64
)
"""Wide in time: a busy machine must not end what should end by itself."""

PRELUDE = """
import os, sys

escaped = []

def tried(name, action):
    try:
        action()
    except Exception:
        return
    escaped.append(name)
"""
NODE_PRELUDE = """
const fs = require('fs');
const escaped = [];
const tried = (name, action) => { try { action(); } catch { return; } escaped.push(name); };
"""


@dataclass
class Seen:
    """A run that is over."""

    outcome: Outcome
    printed: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b""})

    @property
    def answer(self) -> dict[str, Any]:
        return dict(json.loads(self.outcome.answer)) if self.outcome.answer else {}

    @property
    def result(self) -> Any:
        assert self.answer.get("ok"), (self.outcome, self.printed["stderr"][-300:])
        return self.answer["result"]


Check = Callable[[Seen], None]


@dataclass(frozen=True)
class Case:
    """`check` raises AssertionError where the program was not held."""

    name: str
    code: str
    check: Check
    language: Language = Language.PYTHON
    limits: Limits = BOUNDS


def nothing_escaped(seen: Seen) -> None:
    """The program went to its end and reports no success."""
    assert seen.result == []


def stopped_by(*reasons: Reason) -> Check:
    """It was ended for one of these."""

    def check(seen: Seen) -> None:
        assert seen.outcome.reason in reasons, (seen.outcome, seen.printed["stderr"][-300:])

    return check


def failed_as(*kinds: str, or_stopped_by: tuple[Reason, ...] = ()) -> Check:
    """It met the limit as an exception of one of these kinds, or was ended from outside."""

    def check(seen: Seen) -> None:
        kind = seen.answer.get("failure")
        assert kind in kinds or seen.outcome.reason in or_stopped_by, (seen.outcome, seen.printed["stderr"][-300:])

    return check


def python(name: str, body: str, check: Check = nothing_escaped, **bounds: Any) -> Case:
    """`body` is the body of `main(input)`; it lists in `escaped` what should have failed."""
    code = f"{PRELUDE}\ndef main(input):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n    return escaped\n"
    return Case(name, code, check, limits=_bounds(bounds))


def node(name: str, body: str, check: Check = nothing_escaped, **bounds: Any) -> Case:
    """The same for Node.js; `body` may wait."""
    code = f"{NODE_PRELUDE}\nmodule.exports = async (input) => {{\n{textwrap.dedent(body)}\nreturn escaped;\n}};\n"
    return Case(name, code, check, Language.NODE, _bounds(bounds))


def _bounds(changed: dict[str, Any]) -> Limits:
    return Limits(**{**vars(BOUNDS), **changed})
