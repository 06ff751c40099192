"""Which parts of an API agent's config are secrets, to be kept out of what is recorded."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from agents.api.auth import basic
from agents.api.config import ApiConfig, ApiKeyAuth, Auth, BasicAuth, BearerAuth, HmacAuth, OAuth2Auth
from agents.masking import Masking

SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|password|signature", re.IGNORECASE)
SECRET_PARAMETER = re.compile(r"(token|secret|key|password|signature)$", re.IGNORECASE)
"""Narrower: `keyword` and `author` are names of ordinary parameters."""


def masking_of(config: ApiConfig) -> Masking:
    """Knows what the config holds of credentials; those that turn up during the run are added."""
    masking = Masking()
    for secret in set(_secrets(config)):
        masking.add(secret)
    return masking


def _secrets(config: ApiConfig) -> Iterator[str]:
    if config.auth is not None:
        yield from _auth_secrets(config.auth)
    for name, value in config.headers.items():
        if SECRET_HEADER.search(name):
            yield value
            yield value.rpartition(" ")[2]
    for name, value in _parameters(config):
        if SECRET_PARAMETER.search(name):
            yield value


def _parameters(config: ApiConfig) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(config.url.partition("?")[2].partition("#")[0])
    for name, given in config.query.items():
        yield from ((name, value) for value in (given if isinstance(given, list) else [given]) if value is not None)


def _auth_secrets(auth: Auth) -> tuple[str, ...]:
    match auth:
        case BearerAuth():
            return (auth.token,)
        case BasicAuth():
            return (auth.password, basic(auth.username, auth.password).removeprefix("Basic "))
        case ApiKeyAuth():
            return (auth.value,)
        case OAuth2Auth():
            return (auth.client_secret,)
        case HmacAuth():
            return (auth.secret,)
