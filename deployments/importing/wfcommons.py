"""WfFormat 1.5 of the WfCommons project to a workflow: every task a light step, every dependency an edge.

A WfCommons file is the trace of a real scientific workflow: `workflow.specification.tasks` has its graph,
`workflow.execution.tasks` how long each task took. The programs themselves are not in it, so a step only waits: for its
task's recorded seconds times `scale`.
"""

import json
import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from deployments.importing.errors import ImportFailed
from flows.compiler.compile import MAX_STEPS
from flows.compiler.graph import RESERVED

SCHEMA_VERSION = "1.5"
MAX_FILE_BYTES = 256 * 1024 * 1024
_MAX_KEY = 100
_MAX_NAME = 200
_SHOWN = 5


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class _Task(_Part):
    id: str = Field(min_length=1)
    name: str = ""
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()


class _Ran(_Part):
    id: str
    runtime_in_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class _Specification(_Part):
    tasks: tuple[_Task, ...]


class _Execution(_Part):
    tasks: tuple[_Ran, ...] = ()


class _Workflow(_Part):
    specification: _Specification
    execution: _Execution = _Execution()


class _Trace(_Part):
    name: str = Field(min_length=1)
    description: str = ""
    schema_version: str
    workflow: _Workflow


def read_wfcommons(file: Path, *, scale: float) -> dict[str, Any]:
    """The body for `POST /workflows`; raises `ImportFailed` for a file that is no sound trace."""
    return workflow_of_trace(_document(file), scale=scale)


def workflow_of_trace(document: Any, *, scale: float) -> dict[str, Any]:
    """The same from the file's JSON. `scale` is seconds of waiting per recorded second; 0 waits nowhere."""
    trace = _trace(document)
    tasks = trace.workflow.specification.tasks
    _check_tasks(tasks)
    seconds = {ran.id: ran.runtime_in_seconds for ran in trace.workflow.execution.tasks}
    parents = _parents(tasks)
    keys = _step_keys(tasks)
    return {
        "name": trace.name[:_MAX_NAME],
        "description": f"{len(tasks):,} tasks, imported from WfCommons. {trace.description}".strip()[:2_000],
        "tags": ["wfcommons"],
        "steps": [
            {
                "stepKey": keys[task.id],
                "name": (task.name or task.id)[:_MAX_NAME],
                "type": "WAIT",
                "config": {"kind": "duration", "seconds": round(seconds.get(task.id, 0.0) * scale, 3)},
                "dependsOn": [keys[parent] for parent in parents[task.id]],
            }
            for task in tasks
        ],
        "output": {"tasks": len(tasks)},
    }


def _document(file: Path) -> Any:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ImportFailed(f"{file} is larger than {MAX_FILE_BYTES // 2**20} MiB; a trace is not")
        return json.loads(file.read_bytes())
    except OSError as error:
        raise ImportFailed(f"{file} cannot be read: {error.strerror}", hint="name a WfCommons JSON file") from error
    except (ValueError, RecursionError) as error:
        raise ImportFailed(f"{file} is no JSON: {error}", hint="name a WfCommons JSON file") from error


def _trace(document: Any) -> _Trace:
    hint = f"WfFormat {SCHEMA_VERSION} is read: workflow.specification.tasks and workflow.execution.tasks"
    version = document.get("schemaVersion") if isinstance(document, dict) else None
    if version is not None and version != SCHEMA_VERSION:
        raise ImportFailed(f"This is WfFormat {version}", hint=hint)
    try:
        return _Trace.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        lines = tuple(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found[:_SHOWN])
        raise ImportFailed("This is no WfCommons trace", hint=hint, lines=lines) from error


def _check_tasks(tasks: Sequence[_Task]) -> None:
    if not tasks:
        raise ImportFailed("The trace has no tasks")
    if len(tasks) > MAX_STEPS:
        raise ImportFailed(f"The trace has {len(tasks):,} tasks; a workflow has at most {MAX_STEPS:,} steps")
    counted = Counter(task.id for task in tasks)
    repeated = [name for name, times in counted.items() if times > 1]
    if repeated:
        raise ImportFailed("Some tasks have the same id", lines=tuple(repeated[:_SHOWN]))
    strangers = [
        f"{task.id} names {other}"
        for task in tasks
        for other in (*task.parents, *task.children)
        if other not in counted
    ]
    if strangers:
        raise ImportFailed("Some tasks name others that are not in the trace", lines=tuple(strangers[:_SHOWN]))


def _parents(tasks: Sequence[_Task]) -> Mapping[str, list[str]]:
    """Each task's parents, whichever side of an edge names it."""
    found: dict[str, dict[str, None]] = {task.id: dict.fromkeys(task.parents) for task in tasks}
    for task in tasks:
        for child in task.children:
            found[child][task.id] = None
    return {name: list(parents) for name, parents in found.items()}


def _step_keys(tasks: Sequence[_Task]) -> Mapping[str, str]:
    """A step key for each task's id: what a key cannot hold becomes `_`, and what then is the same gets a number."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for task in tasks:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", task.id)[:_MAX_KEY]
        is_key = plain[0].isalpha() and plain not in RESERVED and not keyword.iskeyword(plain)
        key = base = plain if is_key else f"t_{plain}"[:_MAX_KEY]
        number = 1
        while key in taken:
            number += 1
            key = f"{base[: _MAX_KEY - len(str(number)) - 1]}_{number}"
        taken.add(key)
        keys[task.id] = key
    return keys
