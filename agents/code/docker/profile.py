"""The engine's filter of system calls, made of the same table as our own (`agents.code.guest.seccomp`).

The defaults of older engines let io_uring and AF_VSOCK through. The format is Docker's seccomp profile, see
https://docs.docker.com/engine/security/seccomp/.
"""

import errno
import json
from typing import Any

from agents.code.guest import linux, seccomp, syscalls

ALLOW, FAIL = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
PR_SET_DUMPABLE = 4
"""What the container's first process does to itself, so that programs cannot look into it."""
GROUPS = (
    *(syscalls.FILES, syscalls.FILE_ATTRIBUTES, syscalls.MEMORY, syscalls.MEMORY_FILES, syscalls.PROCESSES),
    *(syscalls.IDENTITY, syscalls.SESSIONS, syscalls.SIGNALS, syscalls.TIME, syscalls.WAITING, syscalls.TALKING),
    syscalls.RANDOMNESS,
)
"""All of them: a container counts its memory, and its network, root and processes are its own."""


def seccomp_profile() -> str:
    """The text that `security_opt` takes behind `seccomp=`."""
    checked = _checked()
    plain = sorted({name for group in GROUPS for name in group.split()} - {rule["names"][0] for rule in checked})
    rules = [{"names": plain, "action": ALLOW}, *checked]
    rules.append({"names": sorted(seccomp.PRETENDED_MISSING), "action": FAIL, "errnoRet": errno.ENOSYS})
    return json.dumps({"defaultAction": FAIL, "defaultErrnoRet": errno.EPERM, "syscalls": rules})


def _checked() -> list[dict[str, Any]]:
    """Calls that are allowed with certain arguments only."""
    sockets = [("socket", 0, seccomp.AF_UNIX), ("socketpair", 0, seccomp.AF_UNIX)]
    questions = [("ioctl", 1, value) for value in seccomp.IOCTLS]
    controls = [("prctl", 0, value) for value in (*seccomp.PRCTLS, PR_SET_DUMPABLE)]
    own_limits = [("prlimit64", 0, 0)]
    no_namespace = {"index": 0, "value": linux.ANY_NAMESPACE, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    return [
        {"names": ["clone"], "action": ALLOW, "args": [no_namespace]},
        *(
            {"names": [name], "action": ALLOW, "args": [{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]}
            for name, index, value in (*sockets, *questions, *controls, *own_limits)
        ),
    ]
