"""The file system of a run in namespaces: a root made of read-only pieces of this machine's, and one disk in memory.

/usr, /lib, …, the interpreter, packages    read-only, at their usual paths
/harness                                    read-only, what runs the user's code
/etc/ssl/cert.pem                           read-only, certificates of authorities, where the program has a network
/box/work  /box/tmp  /box/shm               the disk; /tmp, /var/tmp and /dev/shm lead there
/box/work/data/NAME                         the datasets, read-only
/dev                                        null, zero, full, random, urandom
/proc                                       this run's processes, nothing of the machine
"""

import errno
import os
from contextlib import suppress

from agents.code.guest import linux
from agents.code.guest.launch import Launch

BUILDING_SITE = "/tmp"  # noqa: S108 - every machine has one; hidden in this mount namespace alone
BOX = "/box"
WORK = "/box/work"
HARNESS = "/harness"
CERTIFICATES = "/etc/ssl/cert.pem"
DEVICES = ("null", "zero", "full", "random", "urandom")
WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
OTHER_NAMES = {"/tmp": "box/tmp", "/var/tmp": "../box/tmp", "/dev/shm": "../box/shm", "/dev/fd": "/proc/self/fd"}  # noqa: S108 - names inside the new root
MOUNT_FLAGS = linux.MS_NOSUID | linux.MS_NODEV
ACCOUNTS = {"/etc/passwd": "box:x:1000:1000::/box/work:/bin/false\n", "/etc/group": "box:x:1000:\n"}


def enter(launch: Launch, owner: int) -> None:
    """Builds the new root in a fresh mount namespace and makes it the only one. The work folder is `owner`'s."""
    linux.mount("none", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    trees = _cloned_trees(launch)
    links = _links(launch)
    linux.mount("tmpfs", BUILDING_SITE, "tmpfs", MOUNT_FLAGS, "mode=755,size=1m,nr_inodes=2048")
    _make_disk(launch, owner)
    for target, tree in trees.items():
        _place(tree, target)
    for name, target in {**OTHER_NAMES, **links}.items():
        os.makedirs(os.path.dirname(_site(name)), exist_ok=True)
        with suppress(FileExistsError):  # an interpreter or package lies there
            os.symlink(target, _site(name))
    for path, text in ACCOUNTS.items():
        _write(_site(path), text)
    _mount_proc()
    _move_in()


def _site(path: str) -> str:
    return BUILDING_SITE + path


def _cloned_trees(launch: Launch) -> dict[str, int]:
    """Path inside → mounts, read-only but for the devices. Done first: the building site may hide some of them."""
    sources = {path: path for path in launch.readable if os.path.exists(path) and not os.path.islink(path)}
    sources |= {HARNESS: launch.harness}
    sources |= {CERTIFICATES: launch.certificates} if launch.certificates else {}
    sources |= {f"{WORK}/data/{name}": path for name, path in launch.datasets.items()}
    trees = {}
    for inside, path in sources.items():
        trees[inside] = linux.clone_tree(path)
        linux.make_read_only(trees[inside])
    return trees | {f"/dev/{name}": linux.clone_tree(f"/dev/{name}") for name in DEVICES}


def _links(launch: Launch) -> dict[str, str]:
    """`/lib` and the like, which are links on most machines."""
    return {path: os.readlink(path) for path in launch.readable if os.path.islink(path)}


def _make_disk(launch: Launch, owner: int) -> None:
    os.mkdir(_site(BOX))
    options = f"mode=755,size={launch.disk},nr_inodes={launch.inodes}"
    linux.mount("tmpfs", _site(BOX), "tmpfs", MOUNT_FLAGS | linux.MS_NOEXEC, options)
    for name in ("work", "tmp", "shm", "work/out"):
        path = f"{_site(BOX)}/{name}"
        os.mkdir(path, 0o700)
        os.chown(path, owner, owner)


def _place(tree: int, target: str) -> None:
    path = _site(target)
    if os.path.isdir(f"/proc/self/fd/{tree}"):
        os.makedirs(path, exist_ok=True)
    else:
        _write(path, "")
    linux.attach_tree(tree, path)
    os.close(tree)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def _mount_proc() -> None:
    """Refused inside containers that mask parts of /proc; the run has none then."""
    os.mkdir(_site("/proc"))
    flags = MOUNT_FLAGS | linux.MS_NOEXEC
    with suppress(PermissionError):
        linux.mount("proc", _site("/proc"), "proc", flags, "hidepid=invisible,subset=pid")


def _move_in() -> None:
    os.chdir(BUILDING_SITE)
    linux.pivot_root(".", ".")
    linux.unmount(".")  # the former root, which lies over the new one
    os.chdir("/")
    linux.make_root_read_only()


def prove() -> None:
    """Raises where the root can be written to or shows a folder of the machine's users."""
    try:
        os.mkdir("/proof")
    except OSError as error:
        if error.errno == errno.EROFS:
            return
        raise
    raise OSError("the new root can be written to")
