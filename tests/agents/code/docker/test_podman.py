"""Podman behind Docker's API. `TURBOCAT_TEST_ENGINE=podman` runs all tests of containers on it, escape cases too."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from agents.code.backend import MIB, Language, Limits, Program, Reason, SandboxUnavailable
from agents.code.backends import selection
from agents.code.canaries import Silence
from agents.code.docker import podman as podmans
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace
from agents.code.docker.podman import is_podman, options_for_podman
from agents.code.docker.profile import seccomp_profile
from agents.code.selection import SandboxChoice

pytestmark = pytest.mark.case(40)

OPTIONS = {
    "security_opt": ["no-new-privileges", f"seccomp={seccomp_profile()}"],
    "tmpfs": {"/tmp": "size=1024,nr_inodes=10,mode=1777"},
    "ulimits": [],
    "read_only": True,
}


@pytest.fixture
async def backend(podman: EnginePlace) -> AsyncIterator[DockerBackend]:
    """One that leaves no container behind."""
    containers = DockerBackend(podman)
    yield containers
    await containers.aclose()
    with contextlib.closing(docker.DockerClient(base_url=podman.url, timeout=60)) as client:
        assert client.containers.list(all=True, sparse=True) == []


def test_the_list_of_system_calls_is_a_file_while_the_container_is_made() -> None:
    with options_for_podman(OPTIONS) as options:
        first, second = options["security_opt"]
        profile = Path(second.removeprefix("seccomp="))
        assert first == "no-new-privileges"
        assert json.loads(profile.read_text()) == json.loads(seccomp_profile())
        assert profile.parent.stat().st_mode & 0o777 == 0o755
        assert options["tmpfs"] == {"/tmp": "size=1024,mode=1777"}
        assert [each["name"] for each in options["ulimits"]] == ["nproc"]
        assert options["read_only"]
    assert not profile.exists()


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}]}, True),
        ({"Components": [{"Name": "Engine", "Version": "20.10.24"}]}, False),
        ({"Version": "1.12"}, False),
        ({"Components": None}, False),
    ],
)
def test_podman_is_told_from_docker(version: dict[str, object], told: bool) -> None:
    assert is_podman(version) is told


async def test_it_is_found_and_holds_everything_back(podman: EnginePlace) -> None:
    found = selection(SandboxChoice.DOCKER, podman)
    try:
        assert (await found.backend()).name == "docker"
        probe = found.probes["docker"]
        assert all(probe.canaries.values())
        assert probe.languages == set(Language)
    finally:
        await found.aclose()


async def test_what_goes_in_and_what_comes_out(backend: DockerBackend, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    code = """
def main(input):
    open("out/copy.csv", "w").write(open("data/rows.csv").read() * 2)
    return input["n"] + 1
"""
    program = Program(
        language=Language.PYTHON, code=code, input={"n": 1}, datasets={"rows.csv": rows}, collect=tmp_path
    )
    outcome = await backend.run(program, Limits(wall_seconds=120), Silence())
    assert (outcome.answer, outcome.files) == (b'{"ok": true, "result": 2}', ("copy.csv",))
    assert (tmp_path / "copy.csv").read_text() == "a\n1\na\n1\n"


async def test_limits_end_programs_several_at_once(backend: DockerBackend) -> None:
    limits = Limits(cpu_seconds=2, wall_seconds=90, memory_bytes=64 * MIB)
    greedy = "def main(input):\n    kept = []\n    while True: kept.append(bytearray(4 << 20))"
    busy = "def main(input):\n    while True: pass"
    loud = "import os\ndef main(input):\n    while True: os.write(3, b'x' * 65536)"
    files = "def main(input):\n    for n in range(10 ** 9): open(f'/tmp/{n}', 'w').close()"
    programs = [Program(language=Language.PYTHON, code=code, input=None) for code in (greedy, busy, loud, files)]
    memory, cpu, output, inodes = await asyncio.gather(*(backend.run(each, limits, Silence()) for each in programs))
    assert (memory.reason, cpu.reason, output.reason) == (Reason.MEMORY, Reason.CPU, Reason.OUTPUT)
    assert inodes.reason in (Reason.MEMORY, Reason.CPU, Reason.DISK)


async def test_another_filter_than_ours_is_noticed(backend: DockerBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podmans, "seccomp_profile", lambda: '{"defaultAction": "SCMP_ACT_ALLOW"}')
    program = Program(language=Language.PYTHON, code="def main(input): pass", input=None)
    with pytest.raises(SandboxUnavailable, match="lacks the filter of system calls"):
        await backend.run(program, Limits(wall_seconds=90), Silence())
