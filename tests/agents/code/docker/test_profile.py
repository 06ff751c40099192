"""The engine's filter says what our own says."""

import json

from agents.code.docker.profile import seccomp_profile
from agents.code.guest import seccomp


def test_it_allows_what_our_own_filter_allows_and_nothing_more() -> None:
    profile = json.loads(seccomp_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    ours = seccomp.Allowed(memory_files=True, sockets=True, attributes=True, sessions=True)
    assert allowed == set(seccomp._names(ours)) | set(seccomp._checks(ours))
    for forbidden in ("unshare", "mount", "ptrace", "bpf", "io_uring_setup", "keyctl", "userfaultfd", "setns"):
        assert forbidden not in allowed


def test_some_calls_are_bound_to_their_arguments() -> None:
    rules = json.loads(seccomp_profile())["syscalls"]
    bound = {name for rule in rules if "args" in rule for name in rule["names"]}
    assert bound == {"clone", "socket", "socketpair", "ioctl", "prctl", "prlimit64"}
    free = {
        name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule for name in rule["names"]
    }
    assert not bound & free
    sockets = [rule["args"] for rule in rules if rule["names"] == ["socket"]]
    assert sockets == [[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]]
