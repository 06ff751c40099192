"""Transactions are opened and committed by the scopes alone, and the scope free of row-level security is rare."""

import ast
from collections.abc import Callable

from tests.architecture.tree import PACKAGES, parsed, python_files

COMMITS = {
    "platform_api/access/scope.py": "the two scopes",
    "platform_api/db/migrate.py": "a migration is a transaction of its own, outside any scope",
}
"""Path → why it opens or commits a transaction."""

OPENERS = {
    "platform_api/access/scope.py": "defines it",
    "platform_api/access/dependencies.py": "who calls is found before the tenant is known; routes without login",
    "platform_api/access/key_usage.py": "writes the uses of all tenants' keys together",
    "platform_api/resources/secrets/keys.py": "encryption keys are the platform's; rotation goes over every tenant",
    "platform_api/resources/auth/service.py": "login and tokens come before the tenant; no hash inside a transaction",
    "platform_api/resources/auth/recovery.py": "who forgot a password has no tenant yet; no hash in a transaction",
    "platform_api/resources/health/metrics.py": "counts the open executions of all tenants",
    "platform_api/resources/executions/adoption.py": "a run that started elsewhere is found before its tenant",
    "platform_api/resources/members/invitations.py": "a token names the tenant; no hash inside a transaction",
    "platform_api/resources/executions/admission.py": "whose turn it is is decided over all tenants",
    "platform_api/resources/executions/cancel_sweep.py": "sees cancels through, in every tenant",
    "platform_api/resources/executions/reconciler.py": "sets right what a crash left behind, in every tenant",
    "platform_api/resources/executions/timekeeper.py": "keeps the time of every tenant's waits",
    "platform_api/resources/workflows/departures.py": "takes away what Prefect keeps of any tenant's workflows",
    "platform_api/seed.py": "makes the first user and tenant",
    "deployments/wiring.py": "the worker's first look-up by execution id",
    "deployments/worker/sandbox.py": "workers serve every tenant, with or without a sandbox",
    "platform_api/resources/workers/unsafe.py": "the same, told in every answer",
}
"""Path → why it opens a transaction as the owner, free of row-level security."""

HOLDERS = {
    **OPENERS,
    "platform_api/access/authentication.py": "finds users, sessions and keys by their token",
    "platform_api/resources/sessions/login.py": "sessions belong to users, not to tenants",
    "platform_api/resources/sessions/service.py": "the same",
    "platform_api/resources/auth/one_time_tokens.py": "tokens sent by mail belong to users, not to tenants",
    "platform_api/resources/auth/lockout.py": "failures are counted per address, known or not",
    "platform_api/resources/users/service.py": "users belong to no tenant",
    "platform_api/resources/tenants/service.py": "registration makes a tenant",
    "platform_api/resources/templates/service.py": "public templates are everybody's, official ones are no tenant's",
    "platform_api/resources/audit_log/service.py": "security events may have no tenant",
}
"""Path → why it is handed such a transaction."""


def commits(tree: ast.AST) -> bool:
    """Whether something is committed, or a transaction block opened on a session or engine."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            receiver = ast.unparse(node.func.value)
            if node.func.attr == "commit" or (node.func.attr == "begin" and receiver.endswith(("session", "engine"))):
                return True
    return False


def calls(tree: ast.AST, function: str) -> bool:
    """Whether `function` is called, or handed on, or defined."""
    return any(
        (isinstance(node, ast.Name) and node.id == function)
        or (isinstance(node, ast.AsyncFunctionDef) and node.name == function)
        for node in ast.walk(tree)
    )


def names(tree: ast.AST, wanted: str) -> bool:
    """Whether a name is used, imported or defined."""
    return calls(tree, wanted) or any(
        (isinstance(node, ast.ClassDef) and node.name == wanted)
        or (isinstance(node, ast.ImportFrom) and any(alias.name == wanted for alias in node.names))
        for node in ast.walk(tree)
    )


def paths_where(condition: Callable[[ast.AST], bool]) -> set[str]:
    return {str(path) for path in python_files(*PACKAGES) if condition(parsed(path))}


def test_only_the_scopes_commit() -> None:
    assert paths_where(commits) == set(COMMITS)


def test_the_owners_scope_is_opened_where_it_is_listed_and_nowhere_else() -> None:
    assert paths_where(lambda tree: calls(tree, "system_scope")) == set(OPENERS)
    assert all(OPENERS.values())


def test_the_owners_scope_is_held_where_it_is_listed_and_nowhere_else() -> None:
    assert paths_where(lambda tree: names(tree, "SystemScope") or calls(tree, "system_scope")) == set(HOLDERS)
    assert all(HOLDERS.values())


def test_a_commit_is_noticed() -> None:
    assert commits(ast.parse("await self.session.commit()"))
    assert commits(ast.parse("async with session.begin(): ..."))
    assert not commits(ast.parse("repository.add(row)"))
