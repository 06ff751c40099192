"""Attempts on the kernel: privileges, other processes, and every system call that is on no list."""

from agents.code.guest.syscalls import NUMBERS
from tests.agents.code.escape.case import python

CALL = """
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == "x86_64"
def call(name, on_x86, on_arm, *arguments):
    number = on_x86 if x86 else on_arm
    if number is None:
        return
    ctypes.set_errno(0)
    if libc.syscall(number, *arguments) >= 0:
        escaped.append(name)
"""
ALLOWED = {machine: sorted(numbers.values()) for machine, numbers in NUMBERS.items()}

CASES = [
    python(
        "19 looking into other processes",
        CALL
        + """
for pid in (os.getppid(), 1, input["victim"]):
    call("ptrace attach", 101, 117, 16, pid, 0, 0)
    call("ptrace seize", 101, 117, 0x4206, pid, 0, 0)
    call("process_vm_readv", 310, 270, pid, None, 0, None, 0, 0)
    call("process_vm_writev", 311, 271, pid, None, 0, None, 0, 0)
    call("pidfd_getfd", 438, 438, 0, 0, 0)
    call("kcmp", 312, 272, pid, os.getpid(), 0, 0, 0)
    if pid:
        tried(f"memory of {pid}", lambda: open(f"/proc/{pid}/mem", "r+b"))
""",
    ),
    python(
        "22 becoming somebody else",
        """
        import ctypes, subprocess
        for name, change in (
            ("setuid", lambda: os.setuid(0)), ("setgid", lambda: os.setgid(0)), ("groups", lambda: os.setgroups([0])),
            ("setresuid", lambda: os.setresuid(0, 0, 0)),
        ):
            tried(name, change)
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
        if libc.capset(header, sets) == 0:
            escaped.append("capset")
        for command in (["/usr/bin/su", "-c", "id"], ["/usr/bin/passwd", "-d", "root"], ["/usr/bin/mount"]):
            try:
                done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            except OSError:
                continue
            if done.returncode == 0 and command[0] != "/usr/bin/mount" or b"uid=0" in done.stdout:
                escaped.append(command)
        """,
    ),
    python(
        "23 mounts, roots, namespaces, devices",
        CALL
        + """
call("mount", 165, 40, b"none", b"/box/tmp", b"tmpfs", 0, 0)
call("umount", 166, 39, b"/proc", 2)
call("pivot_root", 155, 41, b".", b".")
call("chroot", 161, 51, b"/box")
for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x8000000, 0x4000000, 0x2000000, 0x80):
    call(f"unshare {flag:x}", 272, 97, flag)
call("setns", 308, 268, 0, 0)
call("mknod", 133, None, b"device", 0o60666, 254 << 8)
call("mknodat", 259, 33, -100, b"device", 0o60666, 254 << 8)
call("open_tree", 428, 428, -100, b"/", 1)
call("fsopen", 430, 430, b"proc", 0)
call("mount_setattr", 442, 442, -100, b"/", 0, 0, 0)
call("clone into namespaces", 56, 220, 0x10000000 | 17, 0, 0, 0, 0)
call("clone3", 435, 435, ctypes.create_string_buffer((0x10000000).to_bytes(8, "little") + bytes(80)), 88)
""",
    ),
    python(
        "24 every system call that is on no list",
        CALL
        + f"""
allowed = {ALLOWED!r}[platform.machine()]
for number in [*range(470), 512, 1000, 100_000]:
    if number in allowed or (x86 and number in (335, 336)):  # uretprobe, uprobe: the kernel alone may make them
        continue
    ctypes.set_errno(0)
    if libc.syscall(number, -1, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        escaped.append((number, ctypes.get_errno()))
for request in (0x5412, 0x541C, 0x8912, 0x40086602):  # TIOCSTI, TIOCLINUX, SIOCGIFCONF, FS_IOC_SETFLAGS
    if libc.ioctl(0, request, b"x" * 64) >= 0:
        escaped.append(f"ioctl {{request:x}}")
for option in (8, 22, 24, 26, 28, 35, 38, 47):
    if libc.prctl(option, 1, 0, 0, 0) >= 0:
        escaped.append(f"prctl {{option}}")
""",
    ),
    python(
        "34 raising limits and priorities",
        """
        import resource
        raise_limit = lambda kind: resource.setrlimit(kind, (1 << 40, 1 << 40))
        tried("nice", lambda: os.setpriority(0, 0, -5))
        tried("realtime", lambda: os.sched_setscheduler(0, 1, os.sched_param(1)))
        if resource.getrlimit(resource.RLIMIT_NPROC)[1] < 1 << 31:  # where control groups do not do it
            tried("processes", lambda: raise_limit(resource.RLIMIT_NPROC))
        tried("data", lambda: raise_limit(resource.RLIMIT_DATA))
        tried("file size", lambda: raise_limit(resource.RLIMIT_FSIZE))
        tried("open files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999)))
        tried("another's", lambda: resource.prlimit(input["victim"], resource.RLIMIT_NOFILE, (0, 0)))
        """,
    ),
]
