"""The last steps before the user's code: the program's own process, its limits, its harness."""

import os
import signal
import sys
from typing import NoReturn

from agents.code.guest import limits, linux, network, root
from agents.code.guest.launch import NAMESPACES, Launch
from agents.code.harness import program

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
NODE_ENVIRONMENT = {"OPENSSL_CONF": "/dev/null"}
"""Node reads OpenSSL's configuration at its start, which takes a third of it and is of no use without a network."""
DESCRIPTORS = 4
"""Standard input, output and error, and the answer's."""
HEAP_SHARE = 0.75
"""Of the memory limit, what V8's heap may take: buffers and code come beside it."""


def start(launch: Launch, *, count_processes_beyond: int | None) -> NoReturn:
    """Becomes the program. Descriptors 0 to 3 are its own by now; never returns."""
    limits.apply(launch, count_processes_beyond=count_processes_beyond)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if launch.prewarmed:
        _run_here(launch)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and would hand on as ignored
        signal.signal(number, signal.SIG_DFL)
    linux.close_from(DESCRIPTORS)
    arguments = _node(launch) if launch.language == "node" else _python(launch)
    os.execve(launch.interpreter, arguments, _environment(launch))  # noqa: S606 - no shell is wanted


def _harness(launch: Launch) -> str:
    return root.HARNESS if launch.walls == NAMESPACES else launch.harness


def _environment(launch: Launch) -> dict[str, str]:
    own = NODE_ENVIRONMENT if launch.language == "node" else {}
    return {**ENVIRONMENT, **own, **(_way_out() if launch.network else {}), "HOME": os.getcwd()}


def _way_out() -> dict[str, str]:
    """As HTTP clients know it; some read the small letters only."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), network.PROXY_URL)
    return {
        **proxies,
        "NODE_USE_ENV_PROXY": "1",
        "SSL_CERT_FILE": root.CERTIFICATES,
        "NODE_EXTRA_CA_CERTS": root.CERTIFICATES,
    }


def _python(launch: Launch) -> list[str]:
    """`-I` ignores environment and user packages; `-S` saves the start-up files (`.pth`) of installed packages."""
    code = f"import sys; sys.path.insert(0, {_harness(launch)!r}); import program; program.main({launch.import_from!r})"
    return [launch.interpreter, "-I", "-S", "-B", "-X", "utf8", "-c", code]


def _node(launch: Launch) -> list[str]:
    heap = f"--max-old-space-size={int(launch.memory * HEAP_SHARE) >> 20}"
    return [launch.interpreter, heap, f"{_harness(launch)}/program.js"]


def _run_here(launch: Launch) -> NoReturn:
    """In this very process, which has numpy and Polars loaded and nothing of the worker's."""
    linux.close_from(DESCRIPTORS)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # the watcher has to see which pages are shared; an `exec` does the same
    os.environ.clear()
    os.environ.update(_environment(launch))
    for name in [name for name in sys.modules if name == "agents" or name.startswith("agents.")]:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry.startswith(sys.base_prefix)]
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    program.main(launch.import_from)
