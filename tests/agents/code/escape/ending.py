"""How programs end, what they say, and what they leave."""

from collections.abc import Callable

from agents.code.backend import Reason
from tests.agents.code.escape.case import Case, Seen, python, stopped_by


def printed(expected: Callable[[bytes], bool]) -> Callable[[Seen], None]:
    def check(seen: Seen) -> None:
        assert seen.outcome.reason is None
        assert expected(seen.printed["stdout"]), seen.printed["stdout"][:200]

    return check


def ended(*, exit_code: int | None = None, signal: int | None = None) -> Callable[[Seen], None]:
    def check(seen: Seen) -> None:
        assert (seen.outcome.exit_code, seen.outcome.signal) == (exit_code, signal)
        assert seen.answer.get("ok") is not True

    return check


def told_as(failure: str, message: str) -> Callable[[Seen], None]:
    def check(seen: Seen) -> None:
        assert (seen.answer["failure"], seen.answer["message"]) == (failure, message)

    return check


def ending(name: str, body: str, check: Callable[[Seen], None]) -> Case:
    return python(f"30 {name}", body, check)


CASES = [
    python(
        "27 odd Unicode, lone surrogates, NUL",
        """
        print("\\u202eRTL \\U0001F600 z\\u0301\\0 \\x1b[2J")
        sys.stdout.buffer.write(b"\\xed\\xa0\\x80\\xff\\xfe\\n")
        print("\\ud800")
        """,
        printed(lambda text: "😀".encode() in text and b"\xff\xfe" in text and b"\\ud800" in text),
    ),
    python(
        "28 binary output",
        "sys.stdout.buffer.write(bytes(range(256)) * 1000)",
        printed(lambda text: text == bytes(range(256)) * 1000),
    ),
    ending("sys.exit with a number", "sys.exit(3)", told_as("exit", "3")),
    ending("sys.exit with a text", "sys.exit('bye')", told_as("exit", "'bye'")),
    ending("an exception", "raise ValueError('x')", told_as("raised", "x")),
    ending("os._exit", "os._exit(255)", ended(exit_code=255)),
    ending("killing itself", "os.kill(os.getpid(), 9)", ended(signal=9)),
    ending("abort", "os.abort()", ended(signal=6)),
    ending("a null pointer", "import ctypes; ctypes.string_at(0)", ended(signal=11)),
    ending("an exit code beyond a byte", "os._exit(256 + 7)", ended(exit_code=7)),
    python(
        "31 daemons after a normal end, with the output open",
        """
        import time
        for _ in range(3):
            if os.fork() == 0:
                tried("session", os.setsid)
                if os.fork() == 0:
                    while True:
                        time.sleep(0.5)
                        os.write(1, b"alive")
                os._exit(0)
        return "done"
        """,
        lambda seen: None if seen.result == "done" else [][0],
    ),
    python(
        "32 daemons after a timeout",
        """
        import time
        for _ in range(3):
            if os.fork() == 0:
                tried("session", os.setsid)
                os.closerange(0, 3)
                if os.fork() == 0:
                    while True:
                        time.sleep(0.5)
                os._exit(0)
        while True:
            time.sleep(1)
        """,
        stopped_by(Reason.TIMEOUT),
        wall_seconds=2,
    ),
]
