"""Landlock: the kernel refuses every file outside an allow list, TCP, and signals and named sockets beyond the run."""

import os
import struct

from agents.code.guest import linux

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_QUESTION = 1
RULE_PATH_BENEATH, RULE_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
FIRST_RIGHTS = (1 << 13) - 1
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
NET_BIND, NET_CONNECT = 1, 2
SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3

ABI_REFER, ABI_TRUNCATE, ABI_NET, ABI_IOCTL, ABI_SCOPES = 2, 3, 4, 5, 6
READABLE = EXECUTE | READ_FILE | READ_DIR
NAMES = READ_DIR


def abi() -> int:
    """0 where the kernel has no Landlock."""
    try:
        return linux.syscall("landlock", CREATE_RULESET, None, 0, VERSION_QUESTION)
    except OSError:
        return 0


def restrict(
    *, readable: tuple[str, ...], writable: tuple[str, ...], listable: tuple[str, ...] = (), port: int | None = None
) -> None:
    """For the calling thread and all that it starts. `listable` folders show the names in them and below, no more;
    `port` is the only one that TCP may connect to."""
    version = abi()
    rights = _file_rights(version)
    ruleset = _ruleset(version, rights)
    for paths, access in ((readable, READABLE), (writable, rights), (listable, NAMES)):
        for path in paths:
            _allow(ruleset, path, access & rights)
    if port is not None and version >= ABI_NET:
        rule = struct.pack("=QQ", NET_CONNECT, port)
        linux.syscall("landlock_add_rule", ADD_RULE, ruleset, RULE_PORT, rule, 0)
    linux.syscall("landlock_restrict_self", RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _file_rights(version: int) -> int:
    newer = ((ABI_REFER, REFER), (ABI_TRUNCATE, TRUNCATE), (ABI_IOCTL, IOCTL_DEVICE))
    return FIRST_RIGHTS | sum(right for since, right in newer if version >= since)


def _ruleset(version: int, rights: int) -> int:
    fields = [rights]
    fields += [NET_BIND | NET_CONNECT] if version >= ABI_NET else []
    fields += [SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS] if version >= ABI_SCOPES else []
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    return linux.syscall("landlock_create_ruleset", CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        access &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
    rule = struct.pack("=Qi", access, place)
    linux.syscall(f"landlock_add_rule {path}", ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    os.close(place)
