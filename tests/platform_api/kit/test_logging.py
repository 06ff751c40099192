"""Logs: one JSON object per line, the request id in each, secrets in none."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from platform_api.kit.logging import configure_logging
from platform_api.kit.request_context import RequestContext, accepted_request_id, request_context
from platform_api.settings import LogSettings


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where this test's log files go."""
    configure_logging(LogSettings(folder=tmp_path / "logs"), application="api")
    yield tmp_path / "logs"
    configure_logging(LogSettings(level="WARNING"), application="tests")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "api.log").read_text().splitlines()]


def test_a_line_has_time_level_and_the_request(folder: Path) -> None:
    with request_context(RequestContext(request_id="request-1")):
        structlog.get_logger("x").info("something_happened", count=3)
    (line,) = lines(folder)
    assert (line["event"], line["count"], line["level"], line["request_id"]) == (
        *("something_happened", 3),
        *("info", "request-1"),
    )
    assert line["timestamp"].endswith("Z")


def test_other_libraries_lines_look_the_same(folder: Path) -> None:
    logging.getLogger("sqlalchemy.pool").warning("connection %s lost", 7, extra={"password": "hunter2"})
    (line,) = lines(folder)
    assert (line["event"], line["logger"], line["password"]) == ("connection 7 lost", "sqlalchemy.pool", "***")


@pytest.mark.parametrize(
    "field",
    [
        *("password", "newPassword", "passphrase", "refresh_token", "Authorization", "cookie", "client_secret"),
        *("api_key", "apiKey", "X-API-Key", "private_key"),
    ],
)
def test_what_is_named_like_a_secret_is_blanked(folder: Path, field: str) -> None:
    structlog.get_logger("x").warning("event", **{field: "hunter2"}, nested={field: "hunter2"})
    assert "hunter2" not in (folder / "api.log").read_text()


@pytest.mark.parametrize("field", ["maxTokens", "prompt_tokens", "completionTokens"])
def test_how_many_tokens_a_model_used_is_no_secret(folder: Path, field: str) -> None:
    structlog.get_logger("x").warning("event", **{field: 512})
    assert lines(folder)[0][field] == 512


@pytest.mark.case(22)
def test_no_value_forges_a_line_or_colours_a_terminal(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("x").info("event", path="/a\n2026 [info] forged\x1b[31m\u202e")
    console = capfd.readouterr().err
    assert len(console.splitlines()) == 1
    assert not {"\x1b", "\u202e"} & set(console)
    assert len((folder / "api.log").read_text().splitlines()) == 1


def test_an_exception_comes_without_the_values_of_variables(folder: Path) -> None:
    secret = "hunter2"
    try:
        raise ValueError(len(secret))
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = lines(folder)
    assert "ValueError: 7" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_setting_up_again_replaces(folder: Path) -> None:
    configure_logging(LogSettings(folder=folder), application="api")
    structlog.get_logger("x").info("once")
    assert len(lines(folder)) == 1


def test_the_level_holds(folder: Path) -> None:
    configure_logging(LogSettings(folder=folder, level="ERROR"), application="api")
    structlog.get_logger("x").warning("quiet")
    structlog.get_logger("x").error("loud")
    assert [line["event"] for line in lines(folder)] == ["loud"]


@pytest.mark.parametrize("offered", ["abcd1234", "01890a5d-ac96-774b-bcce-b302099a8057", "a.b_c:d-e"])
def test_a_harmless_request_id_is_kept(offered: str) -> None:
    assert accepted_request_id(offered) == offered


@pytest.mark.parametrize("offered", [None, "", "short", "-leading-dash", "x" * 129, "a b c d e f", "a\r\nb: cdefgh"])
def test_any_other_request_id_is_not(offered: str | None) -> None:
    assert accepted_request_id(offered) != offered
