"""Paths of sources and sinks: case 20 (traversal, links, odd names)."""

from pathlib import Path

import pytest

from agents.data import paths
from agents.data.paths import find_files, place_file
from agents.errors import InputInvalid
from tests.fixtures.cost import spent

pytestmark = pytest.mark.case(20)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.csv").write_text("a\n1\n")
    return folder


@pytest.fixture
def roots(data_root: Path, tmp_path: Path) -> list[Path]:
    second = tmp_path / "second"
    (second / "only").mkdir(parents=True)
    (second / "only" / "there.csv").write_text("a\n1\n")
    (data_root / "sub").mkdir()
    for name in ("b.csv", "a.csv", "sub/c.csv", ".hidden.csv"):
        (data_root / name).write_text("a\n1\n")
    return [data_root, second]


def test_a_relative_path_is_looked_up_in_each_root(roots: list[Path]) -> None:
    assert find_files("a.csv", roots) == [roots[0] / "a.csv"]
    assert find_files("only/there.csv", roots) == [roots[1] / "only/there.csv"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "c.csv"]),
        ("[ac].csv", ["a.csv"]),
        ("sub/?.csv", ["c.csv"]),
    ],
)
def test_patterns_give_sorted_files_without_hidden_ones(roots: list[Path], pattern: str, names: list[str]) -> None:
    assert [file.name for file in find_files(pattern, roots)] == names


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("**/**/**/**/**/**/**/**/**/*.csv", 17), ("*/**/*/**/*/**/x.csv", 12), ("*a*a*a*a*a*a*a*a*b/**", 0)],
)
def test_a_pattern_costs_one_walk(roots: list[Path], pattern: str, matches: int) -> None:
    folder = roots[0]
    for number in range(14):
        folder = folder / f"{'a' * 40}{number}"
        folder.mkdir()
        (folder / "x.csv").touch()
    with spent() as cost:
        try:
            found = find_files(pattern, roots)
        except InputInvalid:
            found = []
    assert cost.seconds < 1
    assert len(found) == matches


def test_links_between_folders_are_followed_where_they_cannot_lead_round(roots: list[Path]) -> None:
    (roots[0] / "sub" / "round").symlink_to(roots[0])
    (roots[0] / "also").symlink_to(roots[0] / "sub")
    assert find_files("al*/c.csv", roots) == [roots[0] / "sub" / "c.csv"]
    assert [file.name for file in find_files("**/c.csv", roots)] == ["c.csv"]


def test_no_more_is_looked_at_than_can_be_read(roots: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MAX_FILES", 2)
    with pytest.raises(InputInvalid, match="names more than 2 files"):
        find_files("**/*.csv", roots)
    monkeypatch.setattr(paths, "MAX_SEEN", 1)
    with pytest.raises(InputInvalid, match="more than 1 files would have to be looked at"):
        find_files("*x.csv", roots)


def test_an_absolute_path_is_allowed_inside_a_root(roots: list[Path]) -> None:
    assert find_files(str(roots[1] / "only/there.csv"), roots) == [roots[1] / "only/there.csv"]


def test_a_folder_stands_for_its_files(roots: list[Path]) -> None:
    assert [file.name for file in find_files("sub", roots, suffix=".csv")] == ["c.csv"]
    assert [file.name for file in find_files(".", roots, suffix=".csv")] == ["a.csv", "b.csv", "c.csv"]


@pytest.mark.parametrize("path", ["../outside/secret.csv", "sub/../../outside/secret.csv", "a\0b", "~/x", "", " "])
def test_ways_out_are_refused(roots: list[Path], outside: Path, path: str) -> None:
    for refuse in (find_files, place_file):
        with pytest.raises(InputInvalid) as caught:
            refuse(path, roots)
        assert caught.value.code == "PATH_REFUSED"


@pytest.mark.parametrize(
    "path",
    [
        *("%2e%2e/outside/secret.csv", "..%2foutside/secret.csv", "%2e%2e%2foutside%2fsecret.csv"),
        *(
            "..\\outside\\secret.csv",
            "C:\\secret.csv",
            "\\\\host\\share\\secret.csv",
            "A.CSV",
            "a.csv ",
            "a.csv::$DATA",
        ),
        *("x" * 300 + ".csv", "deep/" * 1_000 + "secret.csv", "..\u2215outside/secret.csv", "．．/outside/secret.csv"),
    ],
)
def test_other_spellings_of_a_way_out_are_names_like_any_other(roots: list[Path], outside: Path, path: str) -> None:
    """Encoded, of Windows, too long, in another case: nothing is there, and what is written by them stays inside."""
    with pytest.raises(InputInvalid):
        find_files(path, roots)
    try:
        placed = place_file(path, roots)
    except InputInvalid:
        return  # too long for a file, or what looks like a URL
    assert placed.resolve().is_relative_to(roots[0].resolve())
    assert not placed.exists()


@pytest.mark.parametrize("path", ["s3://bucket/x.csv", "http://host/x.csv", "file:///etc/passwd", "HTTPS://x/y.csv"])
def test_urls_are_refused(roots: list[Path], path: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        find_files(path, roots)
    assert caught.value.code == "UNSUPPORTED_SOURCE"


def test_an_absolute_path_outside_is_refused(roots: list[Path], outside: Path) -> None:
    for refuse in (find_files, place_file):
        with pytest.raises(InputInvalid, match="outside the data roots"):
            refuse(str(outside / "secret.csv"), roots)


@pytest.mark.parametrize("path", ["link.csv", "folder/secret.csv", "folder/*.csv", "lin?.csv"])
def test_symbolic_links_out_of_the_roots_are_refused(roots: list[Path], outside: Path, path: str) -> None:
    (roots[0] / "link.csv").symlink_to(outside / "secret.csv")
    (roots[0] / "folder").symlink_to(outside)
    with pytest.raises(InputInvalid) as caught:
        find_files(path, roots)
    assert caught.value.code == "PATH_REFUSED"
    assert str(outside) not in caught.value.message


@pytest.mark.parametrize("path", ["link.csv", "folder/new.csv", "folder/deep/new.csv"])
def test_sinks_do_not_follow_links_out_of_the_roots(roots: list[Path], outside: Path, path: str) -> None:
    (roots[0] / "link.csv").symlink_to(outside / "secret.csv")
    (roots[0] / "folder").symlink_to(outside)
    with pytest.raises(InputInvalid, match="outside the data roots"):
        place_file(path, roots)


def test_a_link_that_stays_inside_is_followed(roots: list[Path]) -> None:
    (roots[0] / "link.csv").symlink_to(roots[1] / "only/there.csv")
    assert find_files("link.csv", roots) == [roots[1] / "only/there.csv"]


def test_links_in_a_circle_are_no_files(roots: list[Path]) -> None:
    (roots[0] / "x.csv").symlink_to(roots[0] / "y.csv")
    (roots[0] / "y.csv").symlink_to(roots[0] / "x.csv")
    with pytest.raises(InputInvalid):
        find_files("x.csv", roots)
    with pytest.raises(InputInvalid):
        place_file("x.csv", roots)


def test_a_missing_file_is_named_with_what_was_probably_meant(roots: list[Path]) -> None:
    with pytest.raises(InputInvalid, match=r'did you mean "a.csv"\?') as caught:
        find_files("aa.csv", roots)
    assert caught.value.code == "PATH_NOT_FOUND"
    assert str(roots[0]) not in caught.value.message


def test_without_roots_nothing_can_be_reached() -> None:
    with pytest.raises(InputInvalid, match="no data root is configured"):
        find_files("a.csv", [])


def test_a_sink_goes_to_the_first_root(roots: list[Path]) -> None:
    assert place_file("new/late.csv", roots) == roots[0] / "new/late.csv"
    with pytest.raises(InputInvalid, match="without"):
        place_file("*.csv", roots)


def test_sinks_reach_no_other_root_by_any_spelling(roots: list[Path]) -> None:
    (roots[0] / "shortcut").symlink_to(roots[1])
    for path in (str(roots[1] / "late.csv"), "shortcut/late.csv"):
        with pytest.raises(InputInvalid) as caught:
            place_file(path, roots)
        assert caught.value.code == "PATH_REFUSED"
