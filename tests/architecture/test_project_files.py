"""The files that other tools read: compose file, Prefect project, Makefile, lock file, continuous integration."""

import copy
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from platform_api.settings import described
from tests.architecture.tree import ROOT

TARGETS = {"help", "install", "demo", "up", "down", "test", "check", "bench", "client", "lock", "fmt"}


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


@pytest.fixture
def schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "tests/architecture/compose.schema.json").read_text()))


def test_the_compose_file_fits_the_schema(compose: dict[str, Any], schema: Draft202012Validator) -> None:
    assert [error.message for error in schema.iter_errors(compose)] == []


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("api", "healtcheck", {}),
        ("api", "restart", "sometimes"),
        ("api", "ports", ["everywhere"]),
        ("worker", "depends_on", {"api": {"condition": "service_ready"}}),
        ("postgres", "healthcheck", {"test": "true", "interval": 5}),
    ],
)
def test_the_schema_refuses_what_compose_would(
    compose: dict[str, Any], schema: Draft202012Validator, service: str, key: str, value: object
) -> None:
    broken = copy.deepcopy(compose)
    broken["services"][service][key] = value
    assert not schema.is_valid(broken)


def test_what_the_compose_file_names_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {"postgres", "prefect", "api", "worker"} <= set(services)
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            origin = volume.split(":")[0]
            assert origin in compose["volumes"] or (ROOT / origin).exists(), volume
        command = service.get("command", [])
        if command[:2] == ["python", "-m"]:
            module = ROOT.joinpath(*command[2].split("."))
            assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), command
    assert (ROOT / services["api"]["build"]["dockerfile"]).exists()


def test_every_lasting_service_says_whether_it_is_healthy(compose: dict[str, Any]) -> None:
    lasting = {name: service for name, service in compose["services"].items() if service["restart"] != "no"}
    assert [name for name, service in lasting.items() if "healthcheck" not in service] == []


def test_the_compose_file_sets_only_settings_that_there_are(compose: dict[str, Any]) -> None:
    assert set(compose["x-platform"]["environment"]) <= set(described())


def test_what_the_compose_file_asks_for_stands_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    example = (ROOT / ".env.example").read_text()
    assert asked
    assert [name for name in asked if not re.search(rf"^(# )?{name}=", example, flags=re.MULTILINE)] == []


def test_no_password_is_generated_into_a_containers_log(compose: dict[str, Any]) -> None:
    assert "TURBOCAT_ADMIN_PASSWORD" in compose["services"]["migrate"]["environment"]


def test_nothing_is_published_beyond_the_own_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_image_runs_as_an_ordinary_user() -> None:
    dockerfile = (ROOT / "deployments/docker/Dockerfile").read_text()
    assert re.search(r"^USER (?!root|0)\w+", dockerfile.rpartition("\nFROM ")[2], flags=re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, flags=re.MULTILINE)
    assert [name for names in copied for name in names.split() if not (ROOT / name).exists()] == []


def test_the_prefect_project_deploys_nothing_by_hand() -> None:
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert project["name"] == "turbocat"
    assert project["pull"] is None
    assert project["deployments"] == []
    assert locked()["prefect"] == project["prefect-version"]


def test_make_help_lists_every_verb() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[0] for line in shown.splitlines() if line.startswith("  ")}
    assert listed == TARGETS
    assert all(len(line.split(maxsplit=1)[1]) > 10 for line in shown.splitlines() if line.startswith("  "))


def test_the_lock_file_pins_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    versions = locked()
    for line in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{name} is not locked: run `make lock`"
        assert requirement.specifier.contains(versions[name], prereleases=True), f"{line}: run `make lock`"


def test_the_lock_file_names_no_place_to_fetch_from() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"^--?(?!hash)[a-z-]+.*$|://.*", lock, flags=re.MULTILINE) == []
    assert lock.count("--hash=sha256:") >= len(locked())


MAKE = """#!/bin/sh
echo "$*" >> calls
case "$*" in
    install) exit 0 ;;
    *check*) exit "$CHECK" ;;
    *--last-failed*) exit "$AGAIN" ;;
    *JOBS=1*) exit "$WHOLE" ;;
    *) echo "$SAID"; exit "$FIRST" ;;
esac
"""
FIRST = ("install", "test")
CHECK = "--keep-going --jobs=2 --output-sync check"
CRASHED = "=== xdist: worker gw1 crashed and worker restarting disabled ==="


@pytest.mark.parametrize(
    ("make", "ends", "calls"),
    [
        ({}, 0, [*FIRST, CHECK]),
        ({"CHECK": "2"}, 1, [*FIRST, CHECK]),
        ({"FIRST": "2"}, 0, [*FIRST, "test JOBS=0 ARGS=--last-failed", CHECK]),
        ({"FIRST": "2", "AGAIN": "2"}, 1, [*FIRST, "test JOBS=0 ARGS=--last-failed", CHECK]),
        ({"FIRST": "2", "SAID": CRASHED}, 0, [*FIRST, "test JOBS=1", CHECK]),
        ({"FIRST": "2", "SAID": CRASHED, "WHOLE": "2"}, 1, [*FIRST, "test JOBS=1", CHECK]),
        ({"FIRST": "124"}, 0, [*FIRST, "test JOBS=1", CHECK]),
        (
            {"FIRST": "2", "SAID": "Different tests were collected between gw2 and gw0."},
            0,
            [*FIRST, "test JOBS=1", CHECK],
        ),
    ],
    ids=[
        *("good", "check fails", "failed once", "failed twice", "ended half-way", "twice half-way", "out of time"),
        "not the same tests",
    ],
)
def test_continuous_integration_runs_both_verbs_and_can_fail(
    tmp_path: Path, make: dict[str, str], ends: int, calls: list[str]
) -> None:
    """The script itself, with a `make` that does as told."""
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    shutil.copy(ROOT / ".ci/run", script)
    there = dict.fromkeys(("redis-server", "dockerd", "podman"), "#!/bin/sh\n")  # nothing is to be installed
    for name, program in {"make": MAKE, **there}.items():
        (script.parent / name).write_text(program)
        (script.parent / name).chmod(0o755)
    told = {"FIRST": "0", "AGAIN": "0", "WHOLE": "0", "CHECK": "0", "SAID": "=== 1 passed in 1s ===", **make}
    search = f"{script.parent}:{os.defpath}"
    done = subprocess.run([script], env={"PATH": search, **told}, capture_output=True, text=True, check=False)
    assert (tmp_path / "calls").read_text().splitlines() == calls
    assert done.returncode == ends, done.stderr
    if not make:
        assert done.stdout.splitlines()[-1] == told["SAID"]


def locked() -> dict[str, str]:
    """Name to version of everything in the lock file."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [match for line in lines if (match := re.match(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;\\]+)", line))]
    return {canonicalize_name(pin[1]): pin[2] for pin in pins}


def test_pip_installs_the_lock_as_it_stands() -> None:
    """With hashes, pip's resolver takes `x[extra]` and `x` for two requirements, and refuses the one not pinned."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (fallback,) = re.findall(r"-m pip install .*requirements\.lock", makefile)
    assert "--no-deps" in fallback
