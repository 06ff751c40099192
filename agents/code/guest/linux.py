"""The few system calls that the standard library does not offer. Each raises `OSError` when the kernel refuses."""

import ctypes
import os
import platform
import struct

MACHINE = platform.machine()

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWTIME = 0x00000080
ANY_NAMESPACE = 0x7E020000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 0x1, 0x2, 0x4
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 0x1, 0o2000000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_GET_SECCOMP, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 21, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 36, 38, 39
SECCOMP_MODE_FILTER = 2

LAST_CAPABILITY = 63
CAPABILITY_VERSION_3 = 0x20080522

PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
OPEN_TREE, MOVE_MOUNT, CLOSE_RANGE, MOUNT_SETATTR = 428, 429, 436, 442

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def syscall(name: str, number: int, *arguments: object) -> int:
    """`name` is for the error's message."""
    return _check(_syscall(number, *arguments), name)


def _check(result: int, call: str) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}")


def prctl(option: int, value: object = 0, third: object = 0) -> int:
    arguments = (ctypes.c_ulong(value) if isinstance(value, int) else value, third, 0, 0)
    return _check(_libc.prctl(option, *arguments), f"prctl {option}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(_libc.mount(*arguments), f"mount {target}")


def unmount(target: str) -> None:
    """The tree goes when its last user does."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    syscall("pivot_root", PIVOT_ROOT[MACHINE], new.encode(), old.encode())


def clone_tree(path: str) -> int:
    """A copy of the mounts at and below `path`, attached nowhere; returns its descriptor."""
    flags = ctypes.c_uint(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)
    return syscall(f"open_tree {path}", OPEN_TREE, AT_FDCWD, path.encode(), flags)


def attach_tree(tree: int, target: str) -> None:
    """Attaches what `clone_tree` made."""
    flags = ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH)
    syscall(f"move_mount {target}", MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), flags)


def make_read_only(tree: int) -> None:
    """All mounts of a cloned tree; nothing in it can be a device or give privileges either."""
    _set_attributes("mount_setattr", tree, b"", AT_EMPTY_PATH | AT_RECURSIVE)


def make_root_read_only() -> None:
    """The mount at `/` alone: not those below it."""
    _set_attributes("mount_setattr /", AT_FDCWD, b"/", 0)


def _set_attributes(call: str, folder: int, path: bytes, flags: int) -> None:
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, 0)
    syscall(call, MOUNT_SETATTR, folder, path, ctypes.c_uint(flags), attributes, ctypes.c_size_t(len(attributes)))


def close_from(first: int) -> None:
    """Every descriptor from `first` on."""
    syscall("close_range", CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), 0)


def set_host_name(name: str) -> None:
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def drop_capabilities() -> None:
    """Empties the bounding set and all capability sets of the calling thread, for good."""
    for capability in range(LAST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # fails past the kernel's last one, and may
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, struct.pack("6I", *[0] * 6)), "capset")


def has_capabilities() -> bool:
    """Whether any is left, in any set of the calling thread."""
    sets = ctypes.create_string_buffer(24)
    _check(_libc.capget(struct.pack("Ii", CAPABILITY_VERSION_3, 0), sets), "capget")
    return any(sets.raw)
