"""What must not stand in any file: hosts of package registries, paths of a machine, addresses of people, loose ends."""

import re
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT, parsed, python_files, source, tracked

REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "registry" + ".yarnpkg", "debian" + ".org")
ADDRESS = re.compile(r"\b[\w.+-]+@([\w-]+(?:\.[\w-]+)*\.[A-Za-z]\w+)\b")
DOMAINS = ("example.com", "example.org", "example.net", "localhost", ".example", ".test", ".invalid")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/")
LOOSE_ENDS = re.compile(r"\b(?:TO" + "DO|FIX" + r"ME)\b|(?:#|//|--|<!--).*\b(?:XX" + "X|HA" + r"CK)\b")

FAKE_PATHS = {
    "tests/agents/code/test_isolation.py": "a program tries to read the home folder of root, and may not",
}
"""Path → why it names a folder that looks like one of a person's machine (an attack that is refused, say)."""

TOP_LEVEL = {
    *("pyproject.toml", "README.md", "platform_api", "flows", "agents", "deployments", "migrations", "tests"),
    *("prefect.yaml", "docker-compose.yml", "Makefile", "docs", "requirements.lock", "CHANGELOG.md", "CONTRIBUTING.md"),
}


def text_files() -> list[Path]:
    return [path for path in tracked() if b"\0" not in (ROOT / path).read_bytes()[:8192]]


def hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number} {match.group()}"
        for path in text_files()
        for number, line in enumerate(source(path).splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def test_the_top_level_is_the_agreed_one() -> None:
    tops = {path.parts[0] for path in tracked()}
    assert {top for top in tops if not top.startswith(".")} <= TOP_LEVEL


def test_no_file_names_a_package_registry() -> None:
    assert hits(re.compile("|".join(map(re.escape, REGISTRIES)))) == []


def test_no_file_names_a_path_of_a_machine() -> None:
    assert [hit for hit in hits(MACHINE) if hit.split(":")[0] not in FAKE_PATHS] == []


def test_every_mail_address_is_an_example() -> None:
    domains = {hit: hit.rsplit("@", 1)[1] for hit in hits(ADDRESS)}
    assert [hit for hit, domain in domains.items() if not domain.endswith(DOMAINS)] == []


def test_nothing_is_left_for_later() -> None:
    assert hits(LOOSE_ENDS) == []


@pytest.mark.parametrize("pattern", [ADDRESS, MACHINE, LOOSE_ENDS])
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str]) -> None:
    samples = "jane.doe@corp" + ".io", "see /ro" + "ot/notes and /home/" + "jane/x", "# TO" + "DO: later"
    assert sum(bool(pattern.search(sample)) for sample in samples) == 1


def test_letters_in_data_are_no_loose_end() -> None:
    assert not LOOSE_ENDS.search('carrier = "' + "XX" + 'X"')
    assert LOOSE_ENDS.search("carrier = None  # XX" + "X: which one?")


def test_modules_and_public_classes_are_documented() -> None:
    missing = []
    for path in python_files(*PACKAGES, "migrations"):
        tree = parsed(path)
        for node in [tree, *tree.body]:
            if not hasattr(node, "body") or type(node).__name__ not in {"Module", "ClassDef"}:
                continue
            name = getattr(node, "name", "the module")
            if not name.startswith("_") and not _documented(node):
                missing.append(f"{path}: {name}")
    assert missing == []


SKIPPING = {
    "tests/fixtures/redis.py": "some machines have no Redis, and no wheel brings one",
    "tests/fixtures/engine.py": "some machines have no Docker engine, or nobody with the right to start one",
}
"""Path → why tests that need it are skipped where it is not."""


def test_no_test_is_switched_off() -> None:
    switched = re.compile(r"mark\.(?:skip|xfail)" + r"|pytest\.(?:skip|xfail|importorskip)" + r"\(")
    assert {str(path) for path in python_files("tests") if switched.search(source(path))} == set(SKIPPING)


def _documented(node: object) -> bool:
    body = getattr(node, "body", [])
    return bool(body) and getattr(getattr(body[0], "value", None), "value", None).__class__ is str


@pytest.mark.case(23)
def test_nothing_is_read_that_can_run_or_explode() -> None:
    """Pickle and its kin run what they read; YAML and XML bring tags and entities. Contracts and files are JSON."""
    banned = {"pickle", "cloudpickle", "marshal", "shelve", "dill", "yaml", "ruamel", "xml", "lxml", "plistlib"}
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for package in ("agents", "flows", "platform_api")
        for path in (ROOT / package).rglob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith(("import ", "from ")) and line.split()[1].split(".")[0] in banned
    ]
    assert found == []
