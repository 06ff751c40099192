"""The command line."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments import cli
from tests.fixtures.cost import spent

ROOT = Path(__file__).parents[2]


def test_help_names_every_command_and_loads_neither_prefect_nor_polars() -> None:
    code = (
        "import sys; sys.settrace(None)\nfrom typer.testing import CliRunner\nfrom deployments.cli import app\n"
        "print(CliRunner().invoke(app, ['--help']).output)\n"
        "print([name for name in ('prefect', 'polars', 'fastapi', 'sqlalchemy', 'httpx') if name in sys.modules])"
    )
    with spent() as cost:
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("up", "down", "demo", "doctor", "openapi", "migrate", "api", "worker"):
        assert f" {command} " in result.stdout
    assert result.stdout.strip().endswith("[]")
    assert cost.of_children < 1.5


@pytest.mark.parametrize(
    ("arguments", "module", "passed"),
    [
        (["openapi"], "deployments.commands.openapi", []),
        (["migrate"], "deployments.commands.migrate", []),
        (["api"], "deployments.start", ["deployments.commands.api"]),
        (["worker"], "deployments.start", ["deployments.worker"]),
        (["demo"], "deployments.demo", []),
        (["demo", "--keep", "--debug"], "deployments.demo", ["--keep", "--debug"]),
        (["doctor", "--data-dir", "elsewhere"], "deployments.commands.doctor", ["elsewhere"]),
    ],
)
def test_a_command_goes_on_as_its_module(
    arguments: list[str], module: str, passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(cli.os, "execv", lambda path, argv: became.append(argv))
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert became == [[sys.executable, "-m", module, *passed]]


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    result = CliRunner().invoke(cli.app, ["up", "--api-port", port])
    assert result.exit_code == 2
    assert "--api-port" in result.output


def test_a_folder_that_cannot_be_written_is_one_line_and_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(cli.app, ["up", "--data-dir", str(tmp_path / "file")])
    assert result.exit_code == 1
    assert "error: the data folder" in result.output
    assert "hint:" in result.output
    assert "Traceback" not in result.output


def test_down_where_nothing_runs(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["down", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "nothing runs" in result.output
