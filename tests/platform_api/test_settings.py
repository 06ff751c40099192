"""Settings: all problems at once, nothing secret in a message."""

import pytest

from platform_api.settings import GROUPS, SettingsInvalid, described, load_settings

GOOD = {
    "DATABASE_URL": "postgresql://turbocat:pw@localhost:5432/turbocat",
    "JWT_ACCESS_SECRET": "k3Vn8QxT1mZc7RbY5pLw9HsD2gJf4AeU",
    "JWT_REFRESH_SECRET": "9f1c4be27a605d83e1b7c2f4908d6a35",
    "ENCRYPTION_KEY": "5d0e8b1fa3c79264e7f01b3d8a52c6940b1e7fd3529c86a4f03de1a7b85c2496",
}


@pytest.fixture(autouse=True)
def only_good(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in described():
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def problems() -> dict[str, str]:
    """Variable → what is wrong with it."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    return dict(line.split(": ", 1) for line in str(caught.value).splitlines())


def test_what_is_required_is_enough() -> None:
    settings = load_settings()
    assert settings.api.port == 3001
    assert settings.environment.value == "development"


def test_every_missing_variable_is_named_at_once(only_good: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        only_good.delenv(name)
    assert problems() == dict.fromkeys(GOOD, "is not set")


def test_every_wrong_variable_is_named_at_once(only_good: pytest.MonkeyPatch) -> None:
    wrong = {
        "PORT": "70000",
        "LOG_LEVEL": "LOUD",
        "ENVIRONMENT": "moon",
        "ENCRYPTION_KEY": "short",
        "JWT_ACCESS_SECRET": "short",
        "DATABASE_URL": "mysql://user:hunter2@host/db",
        "FRONTEND_URL": "*",
        "TURBOCAT_DB_POOL_SIZE": "many",
    }
    for name, value in wrong.items():
        only_good.setenv(name, value)
    found = problems()
    assert set(found) == set(wrong)
    assert "hunter2" not in str(found)


def test_the_two_jwt_secrets_must_differ(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("JWT_REFRESH_SECRET", GOOD["JWT_ACCESS_SECRET"])
    assert set(problems()) == {"JWT_REFRESH_SECRET"}


@pytest.mark.case(9)
def test_production_refuses_what_is_weak_all_at_once(only_good: pytest.MonkeyPatch) -> None:
    weak = {
        "JWT_ACCESS_SECRET": "a" * 40,
        "JWT_REFRESH_SECRET": "change-me-" + "k3Vn8QxT1mZc7RbY5pLw9HsD",
        "ENCRYPTION_KEY": "0123456789abcdef" * 4,
        "TURBOCAT_BCRYPT_ROUNDS": "4",
        "FRONTEND_URL": "https://app.example.com,http://other.example.com",
        "DATABASE_URL": "postgresql://turbocat:postgres@db.example.com/turbocat",
        "PREFECT_API_AUTH_STRING": "admin:admin",
        "TURBOCAT_METRICS_TOKEN": "x" * 20,
    }
    for name, value in weak.items():
        only_good.setenv(name, value)
    assert load_settings().auth.bcrypt_rounds == 4
    only_good.setenv("ENVIRONMENT", "production")
    found = problems()
    assert set(found) == set(weak)
    assert not [value for value in weak.values() if len(value) > 3 and value in str(found)]


@pytest.mark.case(9)
def test_production_without_secrets_names_them_beside_everything_else(only_good: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        only_good.delenv(name)
    only_good.setenv("ENVIRONMENT", "production")
    only_good.setenv("FRONTEND_URL", "http://app.example.com")
    assert set(problems()) == {*GOOD, "FRONTEND_URL"}


@pytest.mark.parametrize(
    ("name", "value", "twin"),
    [
        ("JWT_REFRESH_SECRET", "JWT_ACCESS_SECRET", "JWT_ACCESS_SECRET"),
        ("JWT_ACCESS_SECRET", "ENCRYPTION_KEY", "JWT_ACCESS_SECRET"),
        ("JWT_REFRESH_SECRETS_OLD", "JWT_ACCESS_SECRET", "JWT_ACCESS_SECRET"),
    ],
)
def test_no_two_secrets_are_one(only_good: pytest.MonkeyPatch, name: str, value: str, twin: str) -> None:
    only_good.setenv(name, GOOD[value])
    assert f"must differ from {twin}" in str(problems())


def test_former_secrets_are_as_long_as_the_newest(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("JWT_ACCESS_SECRETS_OLD", "short")
    assert set(problems()) == {"JWT_ACCESS_SECRETS_OLD"}


@pytest.mark.parametrize("url", ["http://localhost:5173", "http://127.0.0.1", "https://app.example.com"])
def test_production_takes_a_front_end_on_this_machine_or_by_https(only_good: pytest.MonkeyPatch, url: str) -> None:
    only_good.setenv("ENVIRONMENT", "production")
    only_good.setenv("FRONTEND_URL", url)
    assert load_settings().api.frontend_url == (url,)


def test_a_certificate_needs_its_key(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("TURBOCAT_TLS_CERT_FILE", "/etc/tls/cert.pem")
    assert problems() == {"TURBOCAT_TLS_CERT_FILE and TURBOCAT_TLS_KEY_FILE": "set both or neither"}


@pytest.mark.parametrize("url", ["http://redis:6379", "redis.example.com", "unix:///run/redis"])
def test_redis_is_named_by_its_url(only_good: pytest.MonkeyPatch, url: str) -> None:
    only_good.setenv("REDIS_URL", url)
    assert set(problems()) == {"REDIS_URL"}


def test_production_takes_what_is_strong(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("ENVIRONMENT", "production")
    assert load_settings().environment.value == "production"


def test_lists_are_comma_separated(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("FRONTEND_URL", "https://a.example.com/, http://localhost:5173")
    assert load_settings().api.frontend_url == ("https://a.example.com", "http://localhost:5173")


@pytest.mark.parametrize("origin", ["*", "https://*.example.com", "https://a.example.com/app", "app.example.com"])
def test_what_is_no_origin_is_refused(only_good: pytest.MonkeyPatch, origin: str) -> None:
    only_good.setenv("FRONTEND_URL", origin)
    assert set(problems()) == {"FRONTEND_URL"}


def test_hosts_and_networks_may_be_allowed(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("EGRESS_ALLOW", "ollama.internal, 10.20.0.0/16")
    assert load_settings().runs.egress_allow == ("ollama.internal", "10.20.0.0/16")


def test_each_entry_that_allows_nothing_is_named(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("EGRESS_ALLOW", "good.internal,http://me:hunter2@bad.example/,10.0.0.0/99")
    [(name, message)] = problems().items()
    assert name == "EGRESS_ALLOW"
    assert "'bad.example/'" in message
    assert "'10.0.0.0/99'" in message
    assert "good.internal" not in message
    assert "hunter2" not in message


def test_no_secret_is_in_a_representation() -> None:
    shown = repr(load_settings())
    assert not [value for value in GOOD.values() if value in shown]


def test_every_variable_is_described_once() -> None:
    names = [str(field.alias) for group in GROUPS.values() for field in group.model_fields.values()]
    assert len(names) == len(set(names))
    assert set(names) < set(described())


def test_former_encryption_keys_are_a_list_of_keys(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("ENCRYPTION_KEYS_OLD", f"{'0f' * 32}, {'1e' * 32}")
    former = [each.get_secret_value() for each in load_settings().auth.encryption_keys_old]
    assert former == ["0f" * 32, "1e" * 32]
    only_good.setenv("ENCRYPTION_KEYS_OLD", f"{'0f' * 32},hunter2")
    found = problems()
    assert set(found) == {"ENCRYPTION_KEYS_OLD"}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:99999",
        "smtp://user:hunter/2@mail.example.com",
        "smtp://hunter2@mail.example.com",
        "smtp://mail.example.com?starttls=perhaps",
        "smtp://mail.example.com?verify=hunter2",
    ],
)
def test_a_mail_server_is_named_by_its_url_which_is_not_repeated(only_good: pytest.MonkeyPatch, url: str) -> None:
    only_good.setenv("SMTP_URL", url)
    found = problems()
    assert set(found) == {"SMTP_URL"}
    assert "hunter" not in str(found)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mail.example.com",
        "smtps://user:p%2Fss@mail.example.com:465",
        "smtp://[::1]:2525?starttls=never",
        "smtp://mail.example.com?starttls=required&cafile=/etc/ca.pem",
    ],
)
def test_a_mail_server_may_have_all_that(only_good: pytest.MonkeyPatch, url: str) -> None:
    only_good.setenv("SMTP_URL", url)
    smtp_url = load_settings().mail.smtp_url
    assert smtp_url is not None
    assert smtp_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Eve <eve@example.com>"),
        ("MAIL_FROM", "a@example.com\nBcc: eve@example.com"),
        ("TURBOCAT_LINK_BASE_URL", "app.example.com"),
        ("TURBOCAT_LINK_BASE_URL", "javascript://app"),
        ("TURBOCAT_LINK_BASE_URL", "https://app.example.com/?next="),
    ],
)
def test_mail_comes_from_an_address_and_leads_to_a_site(only_good: pytest.MonkeyPatch, name: str, value: str) -> None:
    only_good.setenv(name, value)
    assert set(problems()) == {name}


def test_trusted_proxies_are_networks(only_good: pytest.MonkeyPatch) -> None:
    only_good.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1,fd00::/8")
    assert [str(each) for each in load_settings().api.trusted_proxies] == ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]


@pytest.mark.parametrize("value", ["*", "proxy.example.com", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(only_good: pytest.MonkeyPatch, value: str) -> None:
    only_good.setenv("TRUSTED_PROXIES", value)
    assert [name.partition(".")[0] for name in problems()] == ["TRUSTED_PROXIES"]
