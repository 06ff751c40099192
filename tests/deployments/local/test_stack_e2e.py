"""What the real stack offers once it says that it is ready."""

import json
import re
import stat

import httpx
import pytest

from tests.fixtures.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_everything_is_healthy_when_it_says_ready(stack: RunningStack) -> None:
    answer = httpx.get(f"{stack.api_url}/health", timeout=10)
    assert answer.status_code == 200
    assert {name: check["status"] for name, check in answer.json()["checks"].items()} == {
        "database": "up",
        "prefect": "up",
        "workers": "up",
    }


def test_docs_and_contract_are_served(stack: RunningStack) -> None:
    assert httpx.get(f"{stack.base_url}/docs", timeout=10).status_code == 200
    assert httpx.get(f"{stack.base_url}/openapi.json", timeout=10).json()["info"]["title"] == "Turbocat"


def test_the_printed_administrator_can_log_in(stack: RunningStack) -> None:
    found = re.search(r"Administrator\s+(\S+)\s+(\S+)", stack.output)
    assert found is not None
    body = {"email": found[1], "password": found[2]}
    answer = httpx.post(f"{stack.base_url}/auth/login", json=body, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["data"]["user"]["role"] == "ADMIN"


def test_prefect_wants_its_password(stack: RunningStack) -> None:
    url = f"{stack.prefect_api_url}/flows/count"
    user, _, password = stack.prefect_auth.partition(":")
    assert httpx.post(url, json={}, timeout=10).status_code == 401
    assert httpx.post(url, json={}, auth=(user, password), timeout=10).status_code == 200


def test_the_prefect_ui_is_there_and_nothing_phones_home(stack: RunningStack) -> None:
    user, _, password = stack.prefect_auth.partition(":")
    assert "<html" in httpx.get(stack.prefect_url, follow_redirects=True, timeout=10).text.lower()
    settings = httpx.get(f"{stack.prefect_api_url}/admin/settings", auth=(user, password), timeout=10).json()
    assert settings["server"]["analytics_enabled"] is False


def test_the_state_file_is_private_and_holds_no_secret(stack: RunningStack) -> None:
    path = stack.data_dir / "stack.json"
    content = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert content["apiUrl"] == stack.api_url
    assert content["prefectUrl"] == stack.prefect_url
    keys = json.loads((stack.data_dir / "keys.json").read_text())
    assert not any(secret in path.read_text() for secret in keys.values())


def test_no_log_holds_a_generated_secret(stack: RunningStack) -> None:
    keys = json.loads((stack.data_dir / "keys.json").read_text())
    secrets = [*keys.values(), keys["PREFECT_API_AUTH_STRING"].partition(":")[2]]
    logs = list((stack.data_dir / "logs").glob("*.log"))
    assert any(log.name == "api.log" and log.stat().st_size for log in logs)
    assert not [log for log in logs for secret in secrets if secret in log.read_text(errors="replace")]
