"""The tour of the API that a newcomer takes: what the README shows is what runs."""

import re
import subprocess

import pytest

from tests.fixtures.node import ROOT
from tests.fixtures.stack import RunningStack

SCRIPT = ROOT / "docs" / "api-tour.sh"


def test_the_readme_shows_the_script_as_it_is() -> None:
    shown = (ROOT / "README.md").read_text().partition("## A tour of the API")[2]
    block = re.search(r"```bash\n(.*?)```", shown, flags=re.DOTALL)
    assert block
    assert SCRIPT.read_text().partition("set -euo pipefail\n\n")[2] == block[1]


@pytest.mark.case(11)
@pytest.mark.e2e
def test_the_tour(stack: RunningStack) -> None:
    """Case 11: the last call is another tenant's, and finds nothing."""
    command = ["bash", str(SCRIPT), stack.api_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "COMPLETED: Hello, Charles\n" in done.stdout
    assert '"stepKey": "greet"' in done.stdout
    assert done.stdout.endswith("Another tenant gets 404\n")
    assert "NOT_FOUND" in done.stdout
