"""WfCommons traces become workflows: every task a step, every edge a dependency; what is unsound is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.importing.errors import ImportFailed
from deployments.importing.platform import Platform
from deployments.importing.wfcommons import read_wfcommons, workflow_of_trace
from flows.compiler.compile import definition_problems
from flows.compiler.shape import parse_definition

ROOT = Path(__file__).parents[3]


def a_trace(edges: dict[str, list[str]], seconds: dict[str, float] | None = None, **changes: Any) -> dict[str, Any]:
    """A trace whose tasks have these parents; children are named too, as real files do."""
    children: dict[str, list[str]] = {task: [] for task in edges}
    for task, parents in edges.items():
        for parent in parents:
            children.setdefault(parent, []).append(task)
    tasks = [
        {"id": task, "name": task.upper(), "parents": parents, "children": children[task]}
        for task, parents in edges.items()
    ]
    ran = [{"id": task, "runtimeInSeconds": took} for task, took in (seconds or {}).items()]
    graph = {"specification": {"tasks": tasks}, "execution": {"tasks": ran}}
    return {"name": "small", "description": "", "schemaVersion": "1.5", "workflow": graph} | changes


def by_name(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in workflow["steps"]}


def test_tasks_become_waits_and_edges_dependencies() -> None:
    trace = a_trace({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, {"a": 10.0, "d": 0.5})
    workflow = workflow_of_trace(trace, scale=0.1)
    steps = by_name(workflow)
    assert {name: step["dependsOn"] for name, step in steps.items()} == {
        "A": [],
        "B": ["a"],
        "C": ["a"],
        "D": ["b", "c"],
    }
    assert steps["A"]["config"] == {"kind": "duration", "seconds": 1.0}
    assert steps["B"]["config"]["seconds"] == 0
    assert workflow["output"] == {"tasks": 4}


def test_an_edge_that_one_side_names_alone_is_an_edge() -> None:
    trace = a_trace({"a": [], "b": []})
    trace["workflow"]["specification"]["tasks"][0]["children"] = ["b"]
    assert by_name(workflow_of_trace(trace, scale=0))["B"]["dependsOn"] == ["a"]


TASK_IDS = st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=25, unique=True)


@given(ids=TASK_IDS, data=st.data())
def test_whatever_tasks_are_called_the_workflow_is_sound(ids: list[str], data: st.DataObject) -> None:
    edges = {
        task: data.draw(st.lists(st.sampled_from(ids[:position]), unique=True)) if position else []
        for position, task in enumerate(ids)
    }
    workflow = workflow_of_trace(a_trace(edges), scale=0)
    definition = parse_definition({"steps": workflow["steps"], "output": workflow["output"]})
    assert definition_problems(definition, {}) == []
    keys = [step["stepKey"] for step in workflow["steps"]]
    named = dict(zip(ids, keys, strict=True))
    assert [set(step["dependsOn"]) for step in workflow["steps"]] == [
        {named[parent] for parent in parents} for parents in edges.values()
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "no WfCommons trace"),
        ({"schemaVersion": "1.4"}, "WfFormat 1.4"),
        (a_trace({}), "no tasks"),
        (a_trace({"a": ["ghost"]}), "not in the trace"),
        (a_trace({f"t{number}": [] for number in range(2_001)}), "2,001 tasks"),
        (a_trace({"a": []}, {"a": -1.0}), "no WfCommons trace"),
        (a_trace({"a": []}, name=""), "no WfCommons trace"),
    ],
)
def test_what_is_no_sound_trace_is_refused(document: Any, said: str) -> None:
    with pytest.raises(ImportFailed, match=said):
        workflow_of_trace(document, scale=0)


def test_the_same_id_twice_is_refused() -> None:
    trace = a_trace({"a": []})
    trace["workflow"]["specification"]["tasks"] *= 2
    with pytest.raises(ImportFailed, match="same id"):
        workflow_of_trace(trace, scale=0)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "trace.json"
    file.write_bytes(content)
    with pytest.raises(ImportFailed, match="no JSON"):
        read_wfcommons(file, scale=0)


def run_import(*arguments: str, key: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deployments.importing", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"TURBOCAT_API_KEY": key, "PATH": ""},
        check=False,
    )


def test_the_command_prints_the_workflow_and_imports_nothing(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(a_trace({"a": []})))
    ran = run_import("wfcommons", str(file), "--print")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["steps"][0]["stepKey"] == "a"


def test_without_a_key_it_says_how_to_have_one(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(a_trace({"a": []})))
    ran = run_import("wfcommons", str(file))
    assert ran.returncode == 1
    assert "TURBOCAT_API_KEY is not set" in ran.stderr
    assert "hint:" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_where_no_platform_answers_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(a_trace({"a": []})))
    ran = run_import("wfcommons", str(file), "--api-url", "http://127.0.0.1:9", key="tc_x")
    assert ran.returncode == 1
    assert "No platform answers at http://127.0.0.1:9" in ran.stderr


def test_a_refusal_of_the_platform_is_told_with_its_details() -> None:
    problem = {"path": "steps[0].dependsOn", "code": "CYCLE", "message": "these steps wait for each other"}
    refusal = {"success": False, "error": {"code": "VALIDATION_ERROR", "message": "Not sound", "details": [problem]}}
    transport = httpx.MockTransport(lambda _: httpx.Response(400, json=refusal))
    with Platform("http://platform", "tc_x", transport=transport) as platform, pytest.raises(ImportFailed) as raised:
        platform.create({})
    assert "Not sound (VALIDATION_ERROR)" in raised.value.message
    assert raised.value.lines == ("steps[0].dependsOn: these steps wait for each other",)
