"""Every setting is documented, and nothing is documented that is no setting."""

import re

from platform_api.settings import described
from tests.architecture.settings_page import EXAMPLE, PAGE, example, page

COMPOSE_ONLY = {"POSTGRES_PASSWORD"}


def test_the_page_of_settings_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/settings.md is stale: `make fmt` writes it"


def test_the_example_is_the_generated_one() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == example(), ".env.example is stale: `make fmt` writes it"


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, (meaning, _) in described().items() if len(meaning) < 5] == []


def test_page_and_example_name_every_setting_and_no_other() -> None:
    in_example = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", example(), flags=re.MULTILINE))
    in_page = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", page(), flags=re.MULTILINE))
    assert in_example - COMPOSE_ONLY == in_page == set(described())
