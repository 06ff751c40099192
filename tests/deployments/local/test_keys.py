"""Generated secrets."""

import json
import stat
from pathlib import Path

import pytest

from deployments.local.errors import StackError
from deployments.local.keys import GENERATORS, load_or_generate


def test_keys_are_strong_different_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = load_or_generate(path, {})
    assert load_or_generate(path, {}) == first
    assert first["JWT_ACCESS_SECRET"] != first["JWT_REFRESH_SECRET"]
    assert min(len(first["JWT_ACCESS_SECRET"]), len(first["JWT_REFRESH_SECRET"])) >= 32
    assert len(bytes.fromhex(first["ENCRYPTION_KEY"])) == 32
    assert first["PREFECT_API_AUTH_STRING"].count(":") == 1
    assert load_or_generate(tmp_path / "other.json", {}) != first


def test_only_the_owner_reads_the_file_even_if_it_was_opened_up(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    load_or_generate(path, {})
    path.chmod(0o644)
    load_or_generate(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_given_wins_and_is_not_written_down(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = load_or_generate(path, {"ENCRYPTION_KEY": "ab" * 32})
    assert keys["ENCRYPTION_KEY"] == "ab" * 32
    assert set(json.loads(path.read_text())) == set(GENERATORS) - {"ENCRYPTION_KEY"}


def test_a_key_that_is_new_in_this_version_is_added_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"ENCRYPTION_KEY": "cd" * 32}))
    keys = load_or_generate(path, {})
    assert keys["ENCRYPTION_KEY"] == "cd" * 32
    assert json.loads(path.read_text()) == keys


@pytest.mark.parametrize("content", ["{", "[]", '{"ENCRYPTION_KEY": ""}', '{"ENCRYPTION_KEY": 5}'])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(StackError, match="cannot be read") as caught:
        load_or_generate(path, {})
    assert "backup" in caught.value.hint
    assert path.read_text() == content


def test_production_lists_everything_that_is_missing_and_generates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    given = {"ENVIRONMENT": "production", "JWT_ACCESS_SECRET": "x" * 40}
    with pytest.raises(StackError) as caught:
        load_or_generate(path, given)
    assert "JWT_REFRESH_SECRET, ENCRYPTION_KEY, PREFECT_API_AUTH_STRING" in caught.value.message
    assert not path.exists()


def test_production_with_another_prefect_server_needs_no_password_for_one(tmp_path: Path) -> None:
    secrets = {name: "y" * 40 for name in GENERATORS if name != "PREFECT_API_AUTH_STRING"}
    given = {"ENVIRONMENT": "production", "PREFECT_API_URL": "https://prefect.example/api", **secrets}
    assert load_or_generate(tmp_path / "keys.json", given) == secrets
