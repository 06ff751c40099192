"""The user's code, in the last process of the chain.

Reads `{"code": str, "input": any}` from standard input and writes one JSON object to the result pipe:

    {"ok": true, "result": any}
    {"ok": false, "failure": "raised" | "exit" | "result" | "memory", "type": str, "message": str,
     "frames": [{"line": int, "function": str, "text": str}]}

The process may be under the user's control by then, so the worker believes neither shape nor size of it.
"""

import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from agents.code.guest import isolation, linux
from agents.code.guest.launch import Launch

FILE_NAME = "main.py"
MESSAGE_CHARACTERS = 4000
FRAMES = 30


def run(launch: Launch, uid: int | None, *, own_process_count: bool) -> NoReturn:
    """Never returns. The interpreter's own shutdown is left out, so threads left behind hold up nothing."""
    os.setsid()
    with open(0, "rb", closefd=False) as source:
        job = json.load(source)
    _close_descriptors(launch.result_fd)
    os.chdir(launch.work)
    if uid is not None:
        os.chown(".", uid, uid)
    isolation.limit_resources(launch, own_process_count=own_process_count)
    isolation.give_up_privileges(uid)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    _prepare_interpreter(launch)
    own = os.getpid()
    answer = _encoded(_answer(job["code"], job["input"]))
    _flush()
    if os.getpid() == own:  # a fork of the user's that came back from `main` as well has no say
        _write(launch.result_fd, answer)
    os._exit(0)


def _close_descriptors(keep: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX") if not linux.LINUX else 1024)


def _prepare_interpreter(launch: Launch) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    sys.path[:] = [*(entry for entry in sys.path if entry.startswith(sys.base_prefix)), *launch.packages]
    for name in [name for name in sys.modules if name == "agents" or name.startswith("agents.")]:
        del sys.modules[name]
    sys.argv[:] = [FILE_NAME]
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _answer(code: str, value: Any) -> dict[str, Any]:
    module = ModuleType("agent")
    module.__file__ = FILE_NAME
    sys.modules["agent"] = module
    try:
        exec(compile(code, FILE_NAME, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what this is for
        result = module.__dict__["main"](value)
    except MemoryError as error:
        return _failure("memory", error, code)
    except SystemExit as error:
        return {**_failure("exit", error, code), "message": repr(error.code)[:MESSAGE_CHARACTERS]}
    except BaseException as error:
        return _failure("raised", error, code)
    return {"ok": True, "result": result}


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return json.dumps(answer, allow_nan=False).encode()
    except MemoryError as error:
        failure = _failure("memory", error, "")
    except Exception as error:
        failure = _failure("result", error, "")
    return json.dumps(failure).encode()


def _failure(kind: str, error: BaseException, code: str) -> dict[str, Any]:
    """Source lines are looked up in `code` itself: the file does not exist."""
    lines = code.splitlines()
    places = [(line, name) for line, name, file in _walk(error.__traceback__) if file == FILE_NAME]
    if isinstance(error, SyntaxError) and error.filename == FILE_NAME:
        places.append((error.lineno or 0, "<module>"))
    if len(places) > FRAMES:
        places = [*places[: FRAMES // 2], *places[-FRAMES // 2 :]]
    return {
        "ok": False,
        "failure": kind,
        "type": type(error).__name__,
        "message": _text(error)[:MESSAGE_CHARACTERS],
        "frames": [{"line": line, "function": name, "text": _source_line(lines, line)} for line, name in places],
    }


def _walk(traceback: TracebackType | None) -> Iterator[tuple[int, str, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield traceback.tb_lineno, code.co_name, code.co_filename
        traceback = traceback.tb_next


def _source_line(lines: list[str], number: int) -> str:
    return lines[number - 1].strip()[:200] if 0 < number <= len(lines) else ""


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "(its message cannot be shown)"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S112 - the user may have closed or replaced it
            continue


def _write(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
