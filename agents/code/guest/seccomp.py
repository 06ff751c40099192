"""The filter of system calls: a list of what is allowed, some of it by its arguments; all else fails with EPERM."""

import ctypes
import errno
import struct
from dataclasses import dataclass
from functools import cache

from agents.code.guest import linux, syscalls

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
NEWER_THAN_KNOWN = 470

ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, AND, RETURN = 0x20, 0x54, 0x06
IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT = 0x15, 0x35, 0x45
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16

AF_UNIX, AF_INET, SOCK_STREAM, SOCKET_TYPE_MASK = 1, 2, 1, 0xF
ANY_PROTOCOL, TCP = 0, 6
PRIO_PROCESS = 0
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: asking about a terminal, and flags of descriptors."""
PRCTLS = (1, 2, 3, 4, 15, 16, 21, 23, 29, 30, 36, 39, 42, 0x53564D41)
"""Names of threads and mappings, what to do when a parent dies, whether others may look (`entry`), and questions."""
PRETENDED_MISSING = {"clone3": 435, "io_uring_setup": 425, "openat2": 437}
"""Their callers fall back to older calls on ENOSYS; arguments in memory, as theirs, cannot be filtered."""

Instruction = tuple[int, int, int, int]
"""Code, jump when true, jump when false, operand."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What depends on the other walls."""

    memory_files: bool
    """Only where a memory cgroup counts them."""
    sockets: bool
    """Unix sockets by path or name; pairs are always allowed. Only where the network and the root are the run's own."""
    network: bool = False
    """TCP too: only where the network is the run's own, with nothing in it but the way out."""
    attributes: bool
    """Modes and times of files. Not where the program shares a user id with files that it must not change."""
    sessions: bool
    """Not where the process group is all that holds the run together."""


def install(allowed: Allowed) -> None:
    """For the calling thread and all that it starts. `no_new_privs` must be set."""
    header, _ = prepared(allowed)
    linux.prctl(linux.PR_SET_SECCOMP, linux.SECCOMP_MODE_FILTER, header)


@cache
def prepared(allowed: Allowed) -> tuple[bytes, object]:
    """The kernel's `sock_fprog`, and the instructions that it points to. Made ahead, a fork only installs it."""
    instructions = compiled(allowed, linux.MACHINE)
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    return struct.pack("HxxxxxxQ", len(instructions), ctypes.addressof(buffer)), buffer


def compiled(allowed: Allowed, machine: str) -> list[Instruction]:
    """The whole filter for `x86_64` or `aarch64`."""
    numbers = syscalls.NUMBERS[machine]
    checks = _checks(allowed)
    plain = sorted(numbers[name] for name in _names(allowed) if name in numbers and name not in checks)
    return [
        *_preamble(machine),
        *(instruction for number in plain for instruction in _when(number, [_return(ALLOW)])),
        *(instruction for name, check in checks.items() for instruction in _when(numbers[name], check)),
        *(
            instruction
            for number in PRETENDED_MISSING.values()
            for instruction in _when(number, [_return(FAIL | errno.ENOSYS)])
        ),
        (IF_AT_LEAST, 0, 1, NEWER_THAN_KNOWN),
        _return(FAIL | errno.ENOSYS),
        _return(FAIL | errno.EPERM),
    ]


def _names(allowed: Allowed) -> list[str]:
    groups = [
        *(syscalls.FILES, syscalls.MEMORY, syscalls.PROCESSES, syscalls.IDENTITY, syscalls.SIGNALS),
        *(syscalls.TIME, syscalls.WAITING, syscalls.TALKING, syscalls.RANDOMNESS),
    ]
    groups += [syscalls.MEMORY_FILES] if allowed.memory_files else []
    groups += [syscalls.FILE_ATTRIBUTES] if allowed.attributes else []
    groups += [syscalls.SESSIONS] if allowed.sessions else []
    return " ".join(groups).split()


def _checks(allowed: Allowed) -> dict[str, list[Instruction]]:
    """Calls that are allowed with certain arguments only."""
    return {
        "clone": [_load_argument(0), (IF_ANY_BIT, 0, 1, linux.ANY_NAMESPACE), *_fail_or_allow(errno.EPERM)],
        # The next three of the caller itself, pid 0: without namespaces and root, the worker is of the same user.
        "prlimit64": _one_of(0, (0,), errno.EPERM),
        "sched_setaffinity": _one_of(0, (0,), errno.EPERM),
        "setpriority": [
            _load_argument(0),
            (IF_EQUAL, 0, 2, PRIO_PROCESS),
            _load_argument(1),
            (IF_EQUAL, 1, 0, 0),
            *_fail_or_allow(errno.EPERM),
        ],
        "ioctl": _one_of(1, IOCTLS, errno.ENOTTY),
        "prctl": _one_of(0, PRCTLS, errno.EINVAL),
        "socket": [*_when_tcp(allowed.network), *_one_of(0, (AF_UNIX,) if allowed.sockets else (), errno.EAFNOSUPPORT)],
        "socketpair": _stream_pair(),
    }


def _stream_pair() -> list[Instruction]:
    """One end of a datagram pair can send to any other socket by its name; a stream's cannot."""
    return [
        _load_argument(0),
        (IF_EQUAL, 0, 3, AF_UNIX),
        _load_argument(1),
        (AND, 0, 0, SOCKET_TYPE_MASK),
        (IF_EQUAL, 1, 0, SOCK_STREAM),
        *_fail_or_allow(errno.EAFNOSUPPORT),
    ]


def _when_tcp(permitted: bool) -> list[Instruction]:
    """Goes on with what follows for any other socket. Other streams, such as MPTCP, are beyond Landlock's rules, and to
    ask for one can have the kernel load a module."""
    if not permitted:
        return []
    return [
        _load_argument(0),
        (IF_EQUAL, 0, 7, AF_INET),
        _load_argument(1),
        (AND, 0, 0, SOCKET_TYPE_MASK),
        (IF_EQUAL, 0, 4, SOCK_STREAM),
        _load_argument(2),
        (IF_EQUAL, 1, 0, ANY_PROTOCOL),
        (IF_EQUAL, 0, 1, TCP),
        _return(ALLOW),
    ]


def _preamble(machine: str) -> list[Instruction]:
    """Kills whatever speaks another architecture's numbers; leaves the call's number loaded."""
    return [
        (LOAD, 0, 0, ARCHITECTURE_OFFSET),
        (IF_EQUAL, 1, 0, ARCHITECTURES[machine]),
        _return(KILL),
        (LOAD, 0, 0, NUMBER_OFFSET),
        (IF_AT_LEAST, 0, 1, X32_BIT),
        _return(KILL),
    ]


def _when(number: int, block: list[Instruction]) -> list[Instruction]:
    """`block` returns on every way through it."""
    return [(IF_EQUAL, 0, len(block), number), *block]


def _one_of(argument: int, values: tuple[int, ...], error: int) -> list[Instruction]:
    tests = [(IF_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_load_argument(argument), *tests, *_fail_or_allow(error)]


def _fail_or_allow(error: int) -> list[Instruction]:
    """Two ends: the first fails, the second allows."""
    return [_return(FAIL | error), _return(ALLOW)]


def _load_argument(place: int) -> Instruction:
    """Its lower half, which is all that the calls in question look at (both machines are little-endian)."""
    return (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * place)


def _return(action: int) -> Instruction:
    return (RETURN, 0, 0, action)
