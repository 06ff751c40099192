"""The bars themselves: what counts as measured, as matching, as called."""

from pathlib import Path

import pytest

from tests.bars.check import FileCoverage, matching, measured, percent, routes, uncalled

ROUTER = '''
@router.get("/cats")
async def list_cats(scope):
    """All cats."""
    return await CatService(scope).list()


@router.post("/cats", status_code=201)
async def create_cat(body, scope):
    return await CatService(scope).create(body)


def helper():
    return 1
'''


def file(path: str, *, wanted: int = 10, hit: int = 10, executed: frozenset[int] = frozenset()) -> FileCoverage:
    return FileCoverage(path, wanted, hit, executed)


def test_percent_adds_up_over_files() -> None:
    assert percent([file("a.py", hit=10), file("b.py", wanted=30, hit=0)]) == 25.0


def test_nothing_to_run_is_all_of_it() -> None:
    assert percent([]) == 100.0


def test_a_folder_and_a_pattern_choose_their_files() -> None:
    files = [file("a/kit/x.py"), file("a/resources/cats/service.py"), file("a/resources/cats/router.py")]
    assert [f.path for f in matching(files, ["a/kit/"])] == ["a/kit/x.py"]
    assert [f.path for f in matching(files, ["a/resources/*/service.py"])] == ["a/resources/cats/service.py"]


def test_routes_are_the_published_handlers() -> None:
    assert [route.name for route in routes(ROUTER, "r.py")] == ["list_cats", "create_cat"]


def test_a_route_is_called_when_its_body_ran_not_when_it_was_imported() -> None:
    found = list(routes(ROUTER, "r.py"))
    imported_only = file("r.py", executed=frozenset({2, 3, 8, 9}))
    one_called = file("r.py", executed=frozenset({2, 3, 5, 8, 9}))
    assert [route.name for route in uncalled([imported_only], found)] == ["list_cats", "create_cat"]
    assert [route.name for route in uncalled([one_called], found)] == ["create_cat"]
    assert len(uncalled([], found)) == 2


def test_a_missing_measurement_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make test"):
        measured(tmp_path / ".coverage")
