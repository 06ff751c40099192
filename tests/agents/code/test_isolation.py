"""What user code finds around itself."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.errors import LimitExceeded
from tests.agents.code.conftest import Run

AS_ROOT = os.getuid() == 0


@pytest.fixture
def secret_descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "secret"
    path.write_text("planted")
    descriptor = os.open(path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    yield descriptor
    os.close(descriptor)


async def test_the_environment_is_empty(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "planted")
    monkeypatch.setenv("PYTHONPATH", "/planted")
    code = "import os, sys\ndef main(input):\n    return [dict(os.environ), sys.path, os.getcwd(), sys.argv]"
    environment, path, folder, arguments = await run(code)
    assert set(environment) == {"PATH", "LANG", "HOME"}
    assert environment["HOME"] == folder
    assert "planted" not in f"{environment} {path} {arguments}"


async def test_no_process_environment_can_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", "planted-value")
    code = (
        "import glob\n"
        "def main(input):\n"
        "    found = []\n"
        "    for name in glob.glob('/proc/*/environ') + glob.glob('/proc/*/task/*/environ'):\n"
        "        try: found.append(open(name, 'rb').read().decode(errors='replace'))\n"
        "        except OSError: pass\n"
        "    return found"
    )
    assert "planted-value" not in str(await run(code))


async def test_no_descriptor_is_inherited(run: Run, secret_descriptor: int) -> None:
    code = (
        "import os\n"
        "def main(input):\n"
        "    links = {}\n"
        "    for fd in os.listdir('/proc/self/fd'):\n"
        "        try: links[fd] = os.readlink(f'/proc/self/fd/{fd}')\n"
        "        except OSError: pass\n"
        "    return links"
    )
    links = await run(code)
    kinds = {name.partition(":")[0] for name in links.values()}
    assert kinds <= {"pipe", "/dev/null"}
    assert len(links) == 4


async def test_the_work_folder_is_writable_and_has_a_place_for_files(run: Run) -> None:
    code = "import os\ndef main(input):\n    open('a', 'w').write('x')\n    return sorted(os.listdir('.'))"
    assert await run(code) == ["a", "out"]


async def test_folders_that_are_hard_to_remove_are_removed(run: Run) -> None:
    code = (
        "import os\ndef main(input):\n"
        "    for _ in range(1500):\n        os.mkdir('d')\n        os.chdir('d')\n"
        "    os.chmod('.', 0)\n    return 1"
    )
    assert await run(code) == 1


@pytest.mark.case(38)
async def test_files_are_bounded_in_size(run: Run) -> None:
    code = "def main(input):\n    with open('big', 'wb') as file:\n        for _ in range(20): file.write(b'x' * 10**6)"
    with pytest.raises(LimitExceeded) as caught:
        await run(code, diskMb=5)
    assert caught.value.code == "DISK_LIMIT"


async def test_the_project_cannot_be_imported(run: Run) -> None:
    code = "import sys\ndef main(input):\n    return sorted(name for name in sys.modules if name.startswith('agents'))"
    assert await run(code) == []


async def test_the_program_is_nobody_in_particular(run: Run) -> None:
    code = (
        "import os\ndef main(input):\n"
        "    tried = []\n"
        "    for name in ('/etc/shadow', '/root/.bashrc', '/root/.ssh'):\n"
        "        try: tried.append(open(name).read())\n"
        "        except OSError as error: tried.append(type(error).__name__)\n"
        "    for call in (lambda: os.setuid(0), lambda: os.chroot('/'), lambda: os.setgroups([0])):\n"
        "        try: tried.append(call())\n"
        "        except OSError as error: tried.append(type(error).__name__)\n"
        "    status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)\n"
        "    return [os.getuid(), os.getgroups(), tried, status['CapEff'].strip(), status['NoNewPrivs'].strip()]"
    )
    uid, groups, tried, capabilities, no_new_privileges = await run(code)
    assert uid not in (0, os.getuid()) or not AS_ROOT
    assert groups == [] or not AS_ROOT
    assert set(tried) <= {"PermissionError", "FileNotFoundError"}
    assert (int(capabilities, 16), no_new_privileges) == (0, "1")


async def test_this_process_is_out_of_sight(run: Run) -> None:
    code = "import os\ndef main(input):\n    return [pid for pid in os.listdir('/proc') if pid.isdigit()]"
    seen = await run(code)
    assert str(os.getpid()) not in seen or not AS_ROOT


async def test_there_is_no_network(run: Run) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    code = (
        "import socket\ndef main(input):\n"
        "    try: socket.create_connection(('127.0.0.1', input['port']), 1)\n"
        "    except OSError as error: return type(error).__name__\n"
        "    return 'connected'"
    )
    answer = await run(code, {"port": port})
    listener.close()
    assert answer == "OSError" or not AS_ROOT
