"""JMESPath over answers, with an end to what an expression may cost.

`[@, @] | [@, @] | …` doubles the data with each part, so a short expression could fill the memory and hold a processor
for years. Every visit of a node, every element and every few characters that an expression handles count as a step; a
value that appears in two places counts twice.
"""

from collections.abc import Iterable
from typing import Any

import jmespath
from jmespath.functions import Functions
from jmespath.visitor import Options, TreeInterpreter

from agents.errors import LimitExceeded, OutputInvalid

STEPS = 10_000_000
CHARACTERS_PER_STEP = 8


class Effort:
    """What is left to be spent. `stop` is called from another thread when the result is no longer wanted."""

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def spend(self, steps: int) -> None:
        """Raises `_TooMuch` when there is nothing left."""
        self._left -= steps
        if self._left < 0 or self._stopped:
            raise _TooMuch

    def walk(self, value: Any) -> None:
        """Counts everything inside `value` as often as it would be written out."""
        waiting = [value]
        while waiting:
            item = waiting.pop()
            self.spend(1 + breadth(item))
            if isinstance(item, dict):
                self.spend(sum(map(len, item)) // CHARACTERS_PER_STEP)
                waiting.extend(item.values())
            elif isinstance(item, list):
                waiting.extend(item)


class _TooMuch(Exception):
    pass


def breadth(value: Any) -> int:
    """Steps for going over `value` once, without what is inside its elements."""
    if isinstance(value, str):
        return len(value) // CHARACTERS_PER_STEP
    return len(value) if isinstance(value, list | dict) else 0


def search(expression: str, data: Any, path: str, effort: Effort) -> Any:
    """The result of a JMESPath expression; raises `AgentError` that names `path`, the place of the expression."""
    try:
        return _Interpreter(effort).visit(jmespath.compile(expression).parsed, data)
    except _TooMuch:
        message = f"{_short(expression)} takes more than {STEPS:,} steps; ask for less or extract less at once"
        raise LimitExceeded(message, code="CPU_LIMIT", path=path) from None
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        message = f"{_short(expression)} cannot be applied to the answer: {first_line[:300]}"
        raise OutputInvalid(message, path=path) from None


class _Interpreter(TreeInterpreter):
    def __init__(self, effort: Effort) -> None:
        super().__init__(Options(custom_functions=_Functions(effort)))
        self._effort = effort

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._effort.spend(1)
        return super().visit(node, *args, **kwargs)

    def visit_multi_select_list(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_multi_select_list(node, value))

    def visit_multi_select_dict(self, node: Any, value: Any) -> Any:
        return self._counted(super().visit_multi_select_dict(node, value))

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        self._effort.spend(len(base) + sum(len(element) for element in base if isinstance(element, list)))
        return [item for element in base for item in (element if isinstance(element, list) else (element,))]

    def visit_slice(self, node: Any, value: Any) -> Any:
        self._effort.spend(breadth(value))
        return super().visit_slice(node, value)

    def visit_comparator(self, node: Any, value: Any) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        if isinstance(left, list | dict) and isinstance(right, list | dict):
            self._effort.walk(left)
        literals: list[Any] = [{"type": "literal", "value": side, "children": []} for side in (left, right)]
        with_values: Any = {**node, "children": literals}
        return super().visit_comparator(with_values, value)

    def _counted(self, made: Any) -> Any:
        self._effort.walk(made)
        return made


class _Functions(Functions):
    """Counts the arguments before a function sees them: its result may be larger than all of them."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        arguments = list(resolved_args)
        for argument in arguments:
            self._effort.spend(breadth(argument))
        if function_name == "to_string":
            self._effort.walk(arguments)
        if function_name == "join":
            self._effort.spend(_joined_characters(*arguments[:2]) // CHARACTERS_PER_STEP)
        return super().call_function(function_name, arguments)


def _joined_characters(separator: Any = "", parts: Any = ()) -> int:
    if not isinstance(separator, str) or not isinstance(parts, list):
        return 0  # the function itself refuses them
    return len(separator) * len(parts) + sum(len(part) for part in parts if isinstance(part, str))


def _short(expression: str) -> str:
    return repr(expression if len(expression) <= 100 else f"{expression[:100]}…")
