from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.data.patterns import matching_files


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for folder in (".", "a", "ab", "a/b", "a/b/a", "b/.hidden/a", "b/d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in ("c", "b.csv", ".a", "ab.csv"):
            (root / folder / name).touch()
    return root


PARTS = st.sampled_from(["**", "*", "a", "a*", "*b", "?", "[abc]", "*.csv", "[!a]*"])


@settings(max_examples=200, deadline=None)
@given(folders=st.lists(PARTS, max_size=4), name=PARTS.filter(lambda part: part != "**"))
def test_patterns_mean_what_pathlib_takes_them_for(tree: Path, folders: list[str], name: str) -> None:
    found = [file for file in matching_files(tree, [*folders, name]) if file is not None]
    expected = {file for file in tree.glob("/".join([*folders, name])) if file.is_file()}
    assert set(found) == {file for file in expected if not any(part[0] == "." for part in file.relative_to(tree).parts)}
    assert len(found) == len(set(found))
