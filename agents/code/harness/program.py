"""The user's Python code, in the last process of the chain. `agents.code.backend` says what is handed to it, and
`agents.code.answer` what it writes to descriptor 3. The process may be under the user's control by then.

Only what Python has loaded at its start is imported: `json` and `typing` take longer to load than all the rest.
"""

from __future__ import annotations

import os
import sys
from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any, NoReturn

Module = type(sys)

ANSWER = 3
FILE_NAME = "main.py"
OUT = "out"
MESSAGE_CHARACTERS = 4000
FRAMES = 30
MAX_FILES = 64
CHUNK_BYTES = 1 << 20

ENOSPC, EFBIG, EDQUOT, EAGAIN = 28, 27, 122, 11
IS_FILE, FILE_KINDS = 0o100000, 0o170000


class Scanning:
    """What `make_scanner` wants to be told: plain JSON."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__
    memo: dict[str, str] = {}  # noqa: RUF012 - `typing` is too dear to say so


def main(import_from: tuple[str, ...]) -> NoReturn:
    """Never returns. The interpreter's own shutdown is left out, so threads left behind hold up nothing."""
    try:
        _run(import_from)
        os._exit(0)
    finally:
        os._exit(1)  # code that closed our descriptors must not be shown where it is


def _run(import_from: tuple[str, ...]) -> None:
    job = _read_job()
    out, own = f"{os.getcwd()}/{OUT}", os.getpid()
    _prepare_interpreter(import_from)
    answer = _encoded(_answer(job["code"], job["input"]))
    _flush()
    if os.getpid() == own:  # a fork of the user's that came back from `main` as well has no say
        _write(ANSWER, answer + b"\n")
        _send_files(out)


def _read_job() -> Any:
    with open(0, "rb", closefd=False) as source:
        text = source.read().decode()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return make_scanner(Scanning)(text, 0)[0]  # type: ignore[arg-type]


def _prepare_interpreter(import_from: tuple[str, ...]) -> None:
    sys.modules.pop("program", None)
    sys.path[:] = [*(entry for entry in sys.path if entry.startswith(sys.base_prefix)), *import_from]
    sys.argv[:] = [FILE_NAME]
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def _answer(code: str, value: Any) -> dict[str, Any]:
    module = Module("agent")
    module.__file__ = FILE_NAME
    sys.modules["agent"] = module
    try:
        exec(compile(code, FILE_NAME, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what this is for
        result = module.__dict__["main"](value)
    except SystemExit as error:
        return {**_failure("exit", error, code), "message": repr(error.code)[:MESSAGE_CHARACTERS]}
    except BaseException as error:
        return _failure(_kind(error), error, code)
    return {"ok": True, "result": result}


def _kind(error: BaseException) -> str:
    """A limit that the code met as an exception is told as what it is."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno in (ENOSPC, EFBIG, EDQUOT):
        return "disk"
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return "processes"
    if isinstance(error, OSError) and error.errno == EAGAIN and _cannot_fork():
        return "processes"
    return "raised"


def _cannot_fork() -> bool:
    try:
        child = os.fork()
    except OSError:
        return True
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return False


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return _dumped(answer)
    except MemoryError as error:
        failure = _failure("memory", error, "")
    except Exception as error:
        failure = _failure("result", error, "")
    return _dumped(failure)


def _dumped(value: Any) -> bytes:
    """As `json.dumps(value, allow_nan=False)`."""
    encode = make_encoder({}, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, False)
    return "".join(encode(value, 0)).encode()


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


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


def _send_files(folder: str) -> None:
    """The regular files right in `folder`, each behind a line with its name and size."""
    try:
        names = sorted(os.listdir(folder))[:MAX_FILES]
    except OSError:
        return
    for name in names:
        try:
            source = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        status = os.fstat(source)
        if status.st_mode & FILE_KINDS == IS_FILE:
            _write(ANSWER, _dumped({"name": name, "bytes": status.st_size}) + b"\n")
            _copy(source, status.st_size)
        os.close(source)


def _copy(source: int, size: int) -> None:
    while size > 0 and (chunk := os.read(source, min(size, CHUNK_BYTES))):
        _write(ANSWER, chunk)
        size -= len(chunk)


def _write(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
