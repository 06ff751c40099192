"""The filter as the kernel would run it, on both kinds of processor; and that it is a list of what is allowed."""

import errno
import itertools
import struct
from dataclasses import replace

import pytest

from agents.code.guest import syscalls
from agents.code.guest.seccomp import (
    ALLOW,
    AND,
    ARCHITECTURES,
    FAIL,
    IF_ANY_BIT,
    IF_AT_LEAST,
    IF_EQUAL,
    KILL,
    LOAD,
    PRETENDED_MISSING,
    RETURN,
    Allowed,
    Instruction,
    compiled,
)

pytestmark = pytest.mark.case(40)

MACHINES = list(ARCHITECTURES)
TIGHT = Allowed(memory_files=False, sockets=False, attributes=False, sessions=False)
WIDE = Allowed(memory_files=True, sockets=True, attributes=True, sessions=True)
JUMPS = {
    IF_EQUAL: lambda value, operand: value == operand,
    IF_AT_LEAST: lambda value, operand: value >= operand,
    IF_ANY_BIT: lambda value, operand: bool(value & operand),
}


def decided(program: list[Instruction], machine: str, number: int, *arguments: int) -> int:
    """What the filter returns for a call, by the rules of classic BPF."""
    data = struct.pack("<IIQ6Q", number, ARCHITECTURES[machine], 0, *(arguments + (0,) * 6)[:6])
    value, place = 0, 0
    while True:
        code, if_true, if_false, operand = program[place]
        place += 1
        if code == LOAD:
            value = struct.unpack_from("<I", data, operand)[0]
        elif code == AND:
            value &= operand
        elif code == RETURN:
            return operand
        else:
            place += if_true if JUMPS[code](value, operand) else if_false


@pytest.mark.parametrize(("machine", "allowed"), list(itertools.product(MACHINES, [TIGHT, WIDE])))
def test_only_what_is_listed_is_allowed(machine: str, allowed: Allowed) -> None:
    program, numbers = compiled(allowed, machine), syscalls.NUMBERS[machine]
    listed = set(numbers.values())
    for number in [*range(600), 10_000, 1 << 20]:
        if number not in listed:
            expected = errno.ENOSYS if number >= 470 or number in PRETENDED_MISSING.values() else errno.EPERM
            assert decided(program, machine, number) == FAIL | expected, number


@pytest.mark.parametrize("machine", MACHINES)
def test_what_depends_on_other_walls_is_refused_without_them(machine: str) -> None:
    numbers = syscalls.NUMBERS[machine]
    conditional = " ".join([syscalls.MEMORY_FILES, syscalls.FILE_ATTRIBUTES, syscalls.SESSIONS]).split()
    for name in conditional:
        if name in numbers:
            assert decided(compiled(TIGHT, machine), machine, numbers[name]) == FAIL | errno.EPERM
            assert decided(compiled(WIDE, machine), machine, numbers[name]) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (0x11,), ALLOW),
        ("clone", (0x10000011,), FAIL | errno.EPERM),
        ("clone", (0x40000000,), FAIL | errno.EPERM),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (17,), FAIL | errno.EPERM),
        ("sched_setaffinity", (0,), ALLOW),
        ("sched_setaffinity", (17,), FAIL | errno.EPERM),
        ("setpriority", (0, 0), ALLOW),
        ("setpriority", (0, 17), FAIL | errno.EPERM),
        ("setpriority", (1, 0), FAIL | errno.EPERM),
        ("setpriority", (2, 0), FAIL | errno.EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), FAIL | errno.ENOTTY),
        ("prctl", (15,), ALLOW),
        ("prctl", (22,), FAIL | errno.EINVAL),
        ("prctl", (8,), FAIL | errno.EINVAL),
        ("socket", (1, 1), ALLOW),
        *(("socket", (family, 1), FAIL | errno.EAFNOSUPPORT) for family in (2, 10, 16, 17, 38, 40)),
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (1, 0o2000001), ALLOW),
        ("socketpair", (1, 2), FAIL | errno.EAFNOSUPPORT),
        ("socketpair", (2, 1), FAIL | errno.EAFNOSUPPORT),
        ("read", (0,), ALLOW),
        ("execve", (0,), ALLOW),
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    program, numbers = compiled(WIDE, machine), syscalls.NUMBERS[machine]
    assert decided(program, machine, numbers[name], *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_no_socket_at_all_where_the_network_is_the_hosts(machine: str) -> None:
    program, number = compiled(TIGHT, machine), syscalls.NUMBERS[machine]["socket"]
    assert {decided(program, machine, number, family) for family in range(46)} == {FAIL | errno.EAFNOSUPPORT}


@pytest.mark.parametrize("machine", MACHINES)
def test_with_a_network_there_is_tcp_and_no_other_socket_of_it(machine: str) -> None:
    program, number = compiled(replace(WIDE, network=True), machine), syscalls.NUMBERS[machine]["socket"]
    asked = list(itertools.product((2, 10, 43), range(7), (0, 6, 17, 132, 255, 262)))
    allowed = [each for each in asked if decided(program, machine, number, *each) == ALLOW]
    assert allowed == [(2, 1, 0), (2, 1, 6)]


def test_numbers_of_another_architecture_kill() -> None:
    program = compiled(WIDE, "x86_64")
    assert decided(program, "aarch64", 0) == KILL
    assert decided(program, "x86_64", 0x40000000) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_the_program_is_one_that_the_kernel_takes(machine: str) -> None:
    program = compiled(WIDE, machine)
    assert len(program) < 4096
    assert all(max(if_true, if_false) < 256 for _, if_true, if_false, _ in program)


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_stands_for_two_calls(machine: str) -> None:
    numbers = syscalls.NUMBERS[machine]
    assert len(set(numbers.values())) == len(numbers)
