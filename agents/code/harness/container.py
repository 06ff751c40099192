"""The first process of a container: starts the harness as its child, bounds it, and tells the worker what comes of it.

    python3 -I -S -B container.py '{"language", "cpu", "disk", "memory", "open_files"}'

The job and the harness lie in the folder of this file, which only root may write. Standard output carries frames, each
a byte that says what it is (`END`, `STDOUT`, `STDERR`, `ANSWER`), its length in four bytes, and that many bytes; the
last one is `END` with a report: `{"end": "exited" | "signalled" | "memory" | "cpu" | "disk" | "stopped" | "setup", …}`.
Standard input says nothing: when it ends, the worker has hung up, and so everything ends here.

As the first process it cannot be killed from inside, and with its end the kernel kills everything else.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import site
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

END, STDOUT, STDERR, ANSWER = range(4)
CHUNK_BYTES = 65_536
POLL_MILLISECONDS = 100
PR_SET_DUMPABLE, ST_RDONLY = 4, 1
AF_INET, SOCK_STREAM = 2, 1
EASILY_KILLED = b"1000"
DATA_SLACK_BYTES = 256 * 1024 * 1024
HEAP_SHARE = 0.75
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "OPENSSL_CONF": "/dev/null"}
LIMIT_SIGNALS: dict[int, str] = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "disk"}
GROUPS = "/sys/fs/cgroup"
HERE = os.path.dirname(os.path.abspath(__file__))
WORK = "/tmp"  # noqa: S108 - the container's own, of limited size, and all that can be written


def main() -> None:
    wanted = json.loads(sys.argv[1])
    missing = missing_walls()
    report = {"end": "setup", "message": f"the container lacks {', '.join(missing)}"} if missing else run(wanted)
    send(END, json.dumps(report).encode())


def missing_walls() -> list[str]:
    """What an engine may have left out silently, as Podman does with a profile that it does not find."""
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    with open("/proc/net/dev") as file:
        interfaces = {line.split(":")[0].strip() for line in file if ":" in line}
    walls = {
        "the filter of system calls": status["Seccomp"].strip() == "2" and not opens_sockets(),
        "no_new_privs": status["NoNewPrivs"].strip() == "1",
        "dropped capabilities": int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0,
        "a user without privileges": os.getuid() != 0,
        "a process namespace": os.getpid() == 1,
        "a network of its own": interfaces <= {"lo"},
        "a read-only root": bool(os.statvfs("/").f_flag & ST_RDONLY),
    }
    return [name for name, stands in walls.items() if not stands]


def opens_sockets() -> bool:
    """Filters of an engine's own let every program have sockets of the network; ours lets none."""
    found: int = ctypes.CDLL(None).socket(AF_INET, SOCK_STREAM, 0)
    if found >= 0:
        os.close(found)
    return found >= 0


def run(wanted: dict[str, Any]) -> dict[str, Any]:
    """Until the program has ended and nothing of it is left."""
    os.chdir(WORK)
    os.mkdir("out")
    os.symlink(f"{HERE}/data", "data")
    set_dumpable(False)
    spent_before = cpu_seconds()
    pipes = {kind: os.pipe() for kind in (STDOUT, STDERR, ANSWER)}
    child = os.fork()
    if child == 0:
        become_program(wanted, {kind: writing for kind, (_, writing) in pipes.items()})
    for _, writing in pipes.values():
        os.close(writing)
    report = relay({reading: kind for kind, (reading, _) in pipes.items()}, child, wanted["cpu"] + spent_before)
    if ran_out_of_memory():
        report = {"end": "memory", "code": 0}
    return {"cpuSeconds": cpu_seconds() - spent_before, "peakMemory": peak_memory(), **report}


def become_program(wanted: dict[str, Any], pipes: dict[int, int]) -> NoReturn:
    """The program can be looked at by itself again, and is the first to go when memory runs out."""
    try:
        set_dumpable(True)
        with open("/proc/self/oom_score_adj", "wb") as file:
            file.write(EASILY_KILLED)
        place_descriptors(pipes)
        bound_itself(wanted)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        program, *arguments = node(wanted) if wanted["language"] == "node" else python()
        os.execvpe(program, [program, *arguments], {**ENVIRONMENT, "HOME": WORK})  # noqa: S606 - no shell is wanted
    finally:
        os._exit(127)


def place_descriptors(pipes: dict[int, int]) -> None:
    """The job to 0, the pipes to 1, 2 and 3, nothing beside them."""
    job = os.open(f"{HERE}/job.json", os.O_RDONLY)
    copies = [
        os.dup2(descriptor, 100 + place)
        for place, descriptor in enumerate((job, *(pipes[kind] for kind in sorted(pipes))))
    ]
    for place, copy in enumerate(copies):
        os.dup2(copy, place)
    os.closerange(4, 256)


def bound_itself(wanted: dict[str, Any]) -> None:
    """What the kernel holds for each process by itself."""
    cpu, data = max(1, round(wanted["cpu"])), wanted["memory"] + DATA_SLACK_BYTES
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["disk"], wanted["disk"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted["open_files"], wanted["open_files"]))
    if wanted["language"] != "node":  # V8 reserves gigabytes that it never touches
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))


def python() -> list[str]:
    code = f"import sys; sys.path.insert(0, {HERE!r}); import program; program.main({packages()!r})"
    return [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", code]


def node(wanted: dict[str, Any]) -> list[str]:
    heap = int(wanted["memory"] * HEAP_SHARE) >> 20
    return ["node", f"--max-old-space-size={heap}", f"{HERE}/program.js"]


def packages() -> tuple[str, ...]:
    """Where the image's packages lie; `-S` leaves them out."""
    return (*site.getsitepackages(), "/usr/lib/python3/dist-packages")


def relay(pipes: dict[int, int], child: int, cpu_limit: float) -> dict[str, Any]:
    """Hands on what comes until the program has ended, then kills what it left behind and hands on the rest."""
    waiting = select.poll()
    for descriptor in (0, *pipes):
        waiting.register(descriptor, select.POLLIN)
    report: dict[str, Any] | None = None
    while pipes:
        for descriptor, _ in waiting.poll(POLL_MILLISECONDS):
            if descriptor == 0 and not os.read(0, CHUNK_BYTES):
                kill_all()
                return {"end": "stopped", "code": 0}
            if descriptor in pipes and not hand_on(descriptor, pipes[descriptor]):
                waiting.unregister(descriptor)
                del pipes[descriptor]
        if report is None and (status := reaped(child)) is not None:
            report = how_it_ended(status)
        if report is None and cpu_seconds() > cpu_limit:
            report = {"end": "cpu", "code": 0}
        if report is not None:
            kill_all()
    return report or how_it_ended(os.waitpid(child, 0)[1])


def hand_on(descriptor: int, kind: int) -> bool:
    chunk = os.read(descriptor, CHUNK_BYTES)
    if chunk:
        send(kind, chunk)
    return bool(chunk)


def reaped(child: int) -> int | None:
    """The program's status once it has ended; what it has orphaned is buried on the way."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = status


def how_it_ended(status: int) -> dict[str, Any]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {"end": LIMIT_SIGNALS.get(number, "signalled"), "code": number}
    return {"end": "exited", "code": os.WEXITSTATUS(status)}


def kill_all() -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def send(kind: int, payload: bytes) -> None:
    rest = memoryview(struct.pack(">BI", kind, len(payload)) + payload)
    while rest:
        rest = rest[os.write(1, rest) :]


def set_dumpable(value: bool) -> None:
    """What is not dumpable belongs to root in /proc: no memory, environment or descriptor of it can be opened."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, int(value), 0, 0, 0)


def cpu_seconds() -> float:
    """Of the whole container, else of the children that have ended."""
    exact = read(f"{GROUPS}/cpuacct/cpuacct.usage")
    if exact:
        return int(exact) / 1e9
    for line in read(f"{GROUPS}/cpu.stat").splitlines():
        if line.startswith("usage_usec"):
            return int(line.split()[1]) / 1e6
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def peak_memory() -> int:
    for name in ("memory/memory.max_usage_in_bytes", "memory.peak"):
        text = read(f"{GROUPS}/{name}")
        if text:
            return int(text)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def ran_out_of_memory() -> bool:
    text = read(f"{GROUPS}/memory/memory.oom_control") + read(f"{GROUPS}/memory.events")
    return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in text.splitlines())


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
