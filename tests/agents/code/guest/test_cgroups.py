"""Control groups on a tree of plain files: what is written where, and what of it is removed."""

import os
from pathlib import Path

import pytest

from agents.code.guest import cgroups
from agents.code.guest.launch import NAMESPACES, Launch

MIB = 1024 * 1024


def launch(*, cgroups: bool = True) -> Launch:
    return Launch(
        walls=NAMESPACES,
        language="python",
        interpreter="",
        harness="",
        readable=(),
        import_from=(),
        datasets={},
        work="",
        prewarmed=False,
        cgroups=cgroups,
        memory=64 * MIB,
        disk=MIB,
        inodes=10,
        cpu=1,
        processes=8,
        open_files=10,
    )


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "TOP", str(tmp_path))
    monkeypatch.setattr(cgroups, "REMOVAL_TRIES", 1)
    return tmp_path


@pytest.fixture
def version_2(top: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One tree, of which `delegated` is this process's own."""
    (top / "cgroup.controllers").touch()
    own = top / "delegated"
    own.mkdir()
    for name in ("cgroup.subtree_control", "cgroup.procs"):
        (own / name).touch()
    monkeypatch.setattr(cgroups, "_own_version_2_group", lambda: str(own))
    ours = own / cgroups.OURS
    ours.mkdir()
    (ours / "cgroup.subtree_control").touch()
    for folder in (own, ours):
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    return ours


def test_version_1_has_a_folder_for_each_controller(top: Path) -> None:
    group = cgroups.create(launch())
    assert group is not None
    own = f"{cgroups.OURS}-{os.getpid()}"
    assert (top / "memory" / own / "memory.limit_in_bytes").read_text() == str(64 * MIB)
    assert (top / "pids" / own / "pids.max").read_text() == "10"
    group.join()
    assert (top / "cpuacct" / own / "cgroup.procs").read_text() == "0"
    assert group.give_way()
    assert (top / "cpu" / own / "cpu.shares").read_text() == "100"


def test_version_1_may_have_one_tree_for_both_controllers_of_processors(top: Path) -> None:
    (top / "cpu,cpuacct").mkdir()
    for name in ("cpu", "cpuacct"):
        (top / name).symlink_to("cpu,cpuacct")
    group = cgroups.create(launch())
    assert isinstance(group, cgroups.Version1)
    assert Path(group.cpu).samefile(group.cpuacct)


def test_version_2_without_its_controllers_is_left_as_it_is(version_2: Path) -> None:
    own = version_2.parent
    (own / "cgroup.controllers").write_text("hugetlb memory\n")
    cgroups.prepare()
    assert (own / "cgroup.subtree_control").read_text() == ""
    assert not (own / cgroups.OWN_LEAF).exists()


def test_version_1_is_read(top: Path) -> None:
    group = cgroups.create(launch())
    assert isinstance(group, cgroups.Version1)
    Path(group.cpuacct, "cpuacct.usage").write_text("1500000000\n")
    Path(group.memory, "memory.max_usage_in_bytes").write_text("4096\n")
    Path(group.memory, "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert (group.cpu_seconds(), group.peak_memory(), group.out_of_memory()) == (1.5, 4096, True)


def test_version_2_has_one_folder(version_2: Path) -> None:
    group = cgroups.create(launch())
    assert isinstance(group, cgroups.Version2)
    own = version_2 / str(os.getpid())
    assert {path.name: path.read_text() for path in own.iterdir()} == {
        "memory.max": str(64 * MIB),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "10",
    }
    (own / "cpu.stat").write_text("usage_usec 250000\nuser_usec 1\n")
    (own / "memory.events").write_text("low 0\noom_kill 0\n")
    assert (group.cpu_seconds(), group.peak_memory(), group.out_of_memory()) == (0.25, 0, False)
    assert not group.give_way()


def test_processes_move_aside_where_a_group_is_to_have_others_below_it(
    version_2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses controllers below a group with processes of its own."""
    parent = version_2.parent
    (parent / "cgroup.procs").write_text("11\n12\n")
    refused = [str(parent / "cgroup.subtree_control")]
    real = cgroups._write

    def write(path: str, value: object) -> None:
        if path in refused:
            refused.remove(path)
            raise OSError(16, "busy")
        real(path, value)

    monkeypatch.setattr(cgroups, "_write", write)
    cgroups.prepare()
    assert (parent / cgroups.OWN_LEAF / "cgroup.procs").read_text() == "12"
    assert (parent / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert (version_2 / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_none_where_none_can_be_made_or_none_is_wanted(top: Path) -> None:
    assert cgroups.create(launch(cgroups=False)) is None
    (top / "memory").touch()  # a file where a folder should be: nothing can be made below it
    assert cgroups.create(launch()) is None


def test_folders_of_the_dead_are_swept(top: Path) -> None:
    own = f"{cgroups.OURS}-{os.getpid()}"
    for name in (own, f"{cgroups.OURS}-999999999", "kept"):
        (top / "memory" / name).mkdir(parents=True)
    assert cgroups.sweep() == 1
    assert sorted(path.name for path in (top / "memory").iterdir()) == sorted([own, "kept"])
