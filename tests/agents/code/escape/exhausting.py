"""Attempts to take more than the limits: processes, memory, processor, disk, output, time."""

from agents.code.backend import MIB, Reason
from tests.agents.code.escape.case import Seen, failed_as, nothing_escaped, python, stopped_by

ATTEMPTS = 400
MEMORY = (Reason.MEMORY,)


def fewer_than_attempted(seen: Seen) -> None:
    """Either it reports how many it got, or it was ended for trying."""
    if seen.outcome.reason is None:
        assert seen.result < ATTEMPTS / 4
    else:
        assert seen.outcome.reason is Reason.PROCESSES


def held_by_memory(seen: Seen) -> None:
    """Of eight children with 128 MiB each only few can have lived."""
    if seen.outcome.reason is not Reason.MEMORY:
        assert seen.printed["stdout"].count(b"has it") <= 1


def at_most_300_mib(seen: Seen) -> None:
    """Of memory in all its disguises; the limit on memory is 128, that on the disk 32."""
    if seen.outcome.reason not in (Reason.MEMORY, Reason.DISK):
        assert seen.result[0] < 300


def output_was_cut(stream: str) -> "Check":
    def check(seen: Seen) -> None:
        assert seen.outcome.reason is Reason.OUTPUT
        assert seen.outcome.what == stream
        assert len(seen.printed[stream]) <= MIB

    return check


def little_processor_time(seen: Seen) -> None:
    """Eight processes that spin together get what one may have, and the time in which it is noticed."""
    assert seen.outcome.reason is Reason.CPU
    assert seen.outcome.usage.cpu_seconds < 3


Check = type(nothing_escaped)

CASES = [
    python(
        "07 fork bomb",
        f"""
        import time
        count = 0
        try:
            for _ in range({ATTEMPTS}):
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                count += 1
        except OSError:
            pass
        return count
        """,
        fewer_than_attempted,
    ),
    python(
        "08 thread bomb",
        f"""
        import threading, time
        count = 0
        try:
            for _ in range({ATTEMPTS}):
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                count += 1
        except RuntimeError:
            pass
        return count
        """,
        fewer_than_attempted,
    ),
    python(
        "09 memory, step by step to a gigabyte",
        """
        blocks = []
        for _ in range(64):
            blocks.append(bytearray(16 << 20))
        """,
        failed_as("memory", or_stopped_by=MEMORY),
    ),
    python(
        "10 memory in children",
        """
        import time
        for _ in range(8):
            if os.fork() == 0:
                try:
                    block = bytearray(128 << 20)
                    os.write(1, b"has it\\n")
                    time.sleep(2)
                except MemoryError:
                    pass
                os._exit(0)
        for _ in range(8):
            os.wait()
        """,
        held_by_memory,
    ),
    python(
        "11 memory in files without names, shared memory, disks in memory",
        """
        import ctypes
        taken, files = 0, []
        try:
            for _ in range(40):
                files.append(os.memfd_create("x"))
                for _ in range(16):
                    taken += os.write(files[-1], bytes(1 << 20))
        except (OSError, MemoryError):
            pass
        for folder in ("/dev/shm", "/tmp", "/var/tmp", "."):
            try:
                for number in range(20):
                    with open(f"{folder}/{number}", "wb") as file:
                        for _ in range(15):
                            taken += file.write(bytes(1 << 20))
                            file.flush()
            except (OSError, MemoryError):
                pass
        libc = ctypes.CDLL(None)
        segment = libc.shmget(0, ctypes.c_size_t(256 << 20), 0o1600)
        if segment >= 0:
            taken += 256 << 20
        return [taken >> 20]
        """,
        at_most_300_mib,
    ),
    python("12 endless loop", "while True: pass", stopped_by(Reason.CPU), cpu_seconds=0.3),
    python(
        "13 sleeping, deaf to signals",
        """
        import signal, time
        for number in (15, 2, 1, 24):
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(9)
        """,
        stopped_by(Reason.TIMEOUT),
        wall_seconds=1,
    ),
    python(
        "14 slow drip of output",
        """
        import time
        while True:
            print(".", end="", flush=True)
            time.sleep(0.02)
        """,
        stopped_by(Reason.TIMEOUT),
        wall_seconds=1,
    ),
    python("15 endless output", "while True: sys.stdout.write('x' * (1 << 20))", output_was_cut("stdout")),
    python("16 endless errors without a newline", "while True: os.write(2, b'x' * 65536)", output_was_cut("stderr")),
    python(
        "26 a bomb that is unpacked in memory",
        """
        import zlib
        packer = zlib.compressobj(1)
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(320)) + packer.flush()
        return len(zlib.decompress(packed))
        """,
        failed_as("memory", or_stopped_by=MEMORY),
    ),
    python(
        "26b a bomb that is unpacked to disk",
        """
        def sparse():
            with open("sparse", "wb") as file:
                file.truncate(1 << 40)
        tried("a terabyte of nothing", sparse)
        for number in range(40):
            with open(str(number), "wb") as file:
                for _ in range(15):
                    file.write(bytes(1 << 20))
        """,
        failed_as("disk", or_stopped_by=(Reason.DISK, Reason.MEMORY)),
    ),
    python(
        "26c processor time, long before the wall's",
        """
        import signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True: pass
        """,
        stopped_by(Reason.CPU),
        cpu_seconds=0.5,
    ),
    python(
        "29 deep recursion, in Python and below",
        """
        sys.setrecursionlimit(10**9)
        def deeper(n):
            return deeper(n + 1)
        try:
            deeper(0)
        except BaseException:
            pass
        nested = []
        for _ in range(10**6):
            nested = [nested]
        return len(repr(nested))
        """,
        lambda seen: None,
    ),
    python(
        "33 eight processes that spin",
        """
        for _ in range(8):
            if os.fork() == 0:
                while True: pass
        os.wait()
        """,
        little_processor_time,
        cpu_seconds=0.5,
    ),
    python(
        "35 files without number, folders without end",
        """
        def files():
            for number in range(50_000):
                os.mkdir(f"d{number}") if number % 2 else open(f"f{number}", "w").close()
        tried("files", files)
        os.chdir("/tmp") if os.path.isdir("/tmp/.") and os.access("/tmp", os.W_OK) else None
        for _ in range(3000):
            try:
                os.mkdir("x" * 200)
                os.chdir("x" * 200)
            except OSError:
                break
        """,
        lambda seen: nothing_escaped(seen) if seen.outcome.reason is None else stopped_by(Reason.DISK)(seen),
    ),
]
