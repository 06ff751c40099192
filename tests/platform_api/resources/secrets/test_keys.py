"""Encryption keys: a wrong one stops the start before anything is written, a new one takes over without a pause."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from asgi_lifespan import LifespanManager
from sqlalchemy import func, select

from agents.providers.provider import ProviderKind
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import KeyCheck, LlmProvider, Secret, Tenant
from platform_api.kit.crypto import Cipher, DecryptionFailed
from platform_api.main import create_app
from platform_api.resources.secrets.keys import BATCH, check_keys, rotate
from platform_api.resources.secrets.repository import EncryptedRows
from platform_api.resources.secrets.sealing import seal, seal_credentials, unseal, unseal_credentials
from platform_api.settings import DatabaseSettings, Settings, SettingsInvalid
from tests.factories.tenants import create_tenant
from tests.fakes.orchestrator import FakeOrchestrator

OLD, NEW, WRONG = "0f" * 32, "a1" * 32, "b2" * 32


async def plant(sessions: Sessions, tenant: Tenant, cipher: Cipher, count: int = 1) -> list[UUID]:
    """Secrets whose value is their name."""
    rows = [Secret(tenant_id=tenant.id, name=f"S{number}", ciphertext=b"", nonce=b"") for number in range(count)]
    async with system_scope(sessions) as scope:
        for row in rows:
            seal(row, row.name, cipher)
            scope.session.add(row)
    return [row.id for row in rows]


async def opened(sessions: Sessions, cipher: Cipher) -> set[str]:
    async with system_scope(sessions) as scope:
        return {unseal(row, cipher) for row in await scope.session.scalars(select(Secret))}


async def checks(sessions: Sessions) -> set[int]:
    async with system_scope(sessions) as scope:
        return {row.key_version for row in await scope.session.scalars(select(KeyCheck))}


async def test_the_first_key_is_remembered_and_a_wrong_one_refused(fresh_sessions: Sessions) -> None:
    await check_keys(fresh_sessions, Cipher(OLD))
    await check_keys(fresh_sessions, Cipher(OLD))
    assert await checks(fresh_sessions) == {Cipher(OLD).newest}
    with pytest.raises(SettingsInvalid, match=r"^ENCRYPTION_KEY: ") as caught:
        await check_keys(fresh_sessions, Cipher(WRONG))
    assert OLD not in str(caught.value)
    assert WRONG not in str(caught.value)
    assert await checks(fresh_sessions) == {Cipher(OLD).newest}, "nothing was written"


async def test_processes_that_start_at_once_agree(fresh_sessions: Sessions) -> None:
    await asyncio.gather(*(check_keys(fresh_sessions, Cipher(OLD)) for _ in range(5)))
    async with system_scope(fresh_sessions) as scope:
        assert (await scope.session.execute(select(func.count()).select_from(KeyCheck))).scalar_one() == 1


async def test_the_api_does_not_start_with_a_wrong_key(
    fresh_sessions: Sessions, fresh_database_url: str, settings: Settings
) -> None:
    await check_keys(fresh_sessions, Cipher(WRONG))
    wrong = settings.model_copy(update={"database": DatabaseSettings(url=fresh_database_url)})
    with pytest.raises(SettingsInvalid, match="ENCRYPTION_KEY"):
        async with LifespanManager(create_app(wrong, FakeOrchestrator())):
            pass


async def test_rotation_brings_every_secret_of_every_tenant_under_the_newest_key(fresh_sessions: Sessions) -> None:
    old, both, new = Cipher(OLD), Cipher(NEW, [OLD]), Cipher(NEW)
    await check_keys(fresh_sessions, old)
    for _ in range(2):
        await plant(fresh_sessions, await create_tenant(fresh_sessions), old, BATCH)
    await plant(fresh_sessions, await create_tenant(fresh_sessions), both)
    await check_keys(fresh_sessions, both)
    assert await rotate(fresh_sessions, both) == 2 * BATCH
    assert await rotate(fresh_sessions, both) == 0
    assert await opened(fresh_sessions, new) == {f"S{number}" for number in range(BATCH)}
    assert await checks(fresh_sessions) == {new.newest}
    await check_keys(fresh_sessions, new)
    with pytest.raises(SettingsInvalid, match="ENCRYPTION_KEY"):
        await check_keys(fresh_sessions, old)


async def test_rotation_takes_the_credentials_of_llm_providers_with_it(fresh_sessions: Sessions) -> None:
    old, both, new = Cipher(OLD), Cipher(NEW, [OLD]), Cipher(NEW)
    await check_keys(fresh_sessions, old)
    tenant = await create_tenant(fresh_sessions)
    keyed = LlmProvider(tenant_id=tenant.id, name="keyed", kind=ProviderKind.OPENAI)
    keyless = LlmProvider(tenant_id=tenant.id, name="keyless", kind=ProviderKind.FAKE)
    seal_credentials(keyed, "canary", old)
    async with system_scope(fresh_sessions) as scope:
        scope.session.add_all([keyed, keyless])
    await check_keys(fresh_sessions, both)
    assert await checks(fresh_sessions) == {old.newest, new.newest}
    assert await rotate(fresh_sessions, both) == 1
    assert await rotate(fresh_sessions, both) == 0
    async with system_scope(fresh_sessions) as scope:
        opened = {row.name: unseal_credentials(row, new) for row in await scope.session.scalars(select(LlmProvider))}
    assert opened == {"keyed": "canary", "keyless": None}
    assert await checks(fresh_sessions) == {new.newest}


async def test_a_key_that_only_credentials_are_under_is_kept(fresh_sessions: Sessions) -> None:
    """As they are when a process with the former key stores them while another rotates."""
    old, both = Cipher(OLD), Cipher(NEW, [OLD])
    await check_keys(fresh_sessions, old)
    await check_keys(fresh_sessions, both)
    provider = LlmProvider(tenant_id=(await create_tenant(fresh_sessions)).id, name="late", kind=ProviderKind.OPENAI)
    seal_credentials(provider, "canary", old)
    async with system_scope(fresh_sessions) as scope:
        scope.session.add(provider)
        await scope.session.flush()
        await EncryptedRows(scope.session).forget_checks(but=both.newest)
    assert await checks(fresh_sessions) == {old.newest, both.newest}


async def test_rotation_without_the_former_key_changes_nothing(fresh_sessions: Sessions) -> None:
    await check_keys(fresh_sessions, Cipher(OLD))
    await plant(fresh_sessions, await create_tenant(fresh_sessions), Cipher(OLD))
    with pytest.raises(SettingsInvalid, match="ENCRYPTION_KEYS_OLD"):
        await rotate(fresh_sessions, Cipher(NEW))
    assert await opened(fresh_sessions, Cipher(OLD)) == {"S0"}


async def test_a_secret_that_no_key_opens_is_named_and_the_former_key_kept(fresh_sessions: Sessions) -> None:
    both = Cipher(NEW, [OLD])
    await check_keys(fresh_sessions, Cipher(OLD))
    (lost,) = await plant(fresh_sessions, await create_tenant(fresh_sessions), Cipher(WRONG))
    with pytest.raises(DecryptionFailed, match=str(lost)):
        await rotate(fresh_sessions, both)
    assert await checks(fresh_sessions) == {Cipher(OLD).newest, both.newest}


def run_rotate(database_url: str, tmp_path: Path, **keys: str) -> subprocess.CompletedProcess[str]:
    given = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "JWT_ACCESS_SECRET": "0123456789abcdefghijklmnopqrstuv",
        "JWT_REFRESH_SECRET": "vutsrqponmlkjihgfedcba9876543210",
        **keys,
    }
    command = [sys.executable, "-m", "deployments.cli", "secrets", "rotate"]
    root = Path(__file__).parents[4]
    return subprocess.run(command, env=given, cwd=root, capture_output=True, text=True, timeout=60, check=False)


async def test_the_command_line(fresh_sessions: Sessions, fresh_database_url: str, tmp_path: Path) -> None:
    await check_keys(fresh_sessions, Cipher(OLD))
    await plant(fresh_sessions, await create_tenant(fresh_sessions), Cipher(OLD), 3)
    refused = await asyncio.to_thread(run_rotate, fresh_database_url, tmp_path, ENCRYPTION_KEY=NEW)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ENCRYPTION_KEY: ")
    done = await asyncio.to_thread(
        run_rotate, fresh_database_url, tmp_path, ENCRYPTION_KEY=NEW, ENCRYPTION_KEYS_OLD=OLD
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 secret(s)")
    assert await opened(fresh_sessions, Cipher(NEW)) == {"S0", "S1", "S2"}
