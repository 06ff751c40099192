"""Tokens and the attacks on them: case 2 (algorithms), case 3 (keys and key ids), case 4 (times and claims)."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from platform_api.access.tokens import ISSUER, LEEWAY, Claims, Tokens
from platform_api.errors import TokenExpired, Unauthenticated
from platform_api.kit import clock
from platform_api.settings import AuthSettings

ACCESS = "access-secret-" + "a" * 32
REFRESH = "refresh-secret-" + "r" * 32


def settings(**changes: Any) -> AuthSettings:
    return AuthSettings(**{"access_secret": ACCESS, "refresh_secret": REFRESH, "encryption_key": "0f" * 32, **changes})


TOKENS = Tokens(settings())
IDS = {"user_id": uuid4(), "session_id": uuid4(), "tenant_id": uuid4()}


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims."""
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def forged(
    *,
    secret: str = ACCESS,
    algorithm: str = "HS256",
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    without: str | None = None,
) -> str:
    """A good access token with changes, signed anew."""
    good_header, good_claims = parts(TOKENS.access(**IDS))
    payload = {key: value for key, value in {**good_claims, **(claims or {})}.items() if key != without}
    headers = {**good_header, **(header or {})}
    headers.pop("alg")
    return jwt.PyJWS().encode(json.dumps(payload).encode(), secret, algorithm=algorithm, headers=headers)


def raw(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    """A token that no library would make."""
    encoded = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (header, claims)]
    return ".".join([*encoded, signature])


def in_seconds(seconds: int) -> int:
    return int((clock.now() + timedelta(seconds=seconds)).timestamp())


def test_what_is_issued_can_be_read() -> None:
    claims = TOKENS.read_access(TOKENS.access(**IDS))
    assert isinstance(claims, Claims)
    assert (claims.user_id, claims.session_id, claims.tenant_id) == tuple(IDS.values())


def test_a_forged_one_without_changes_is_good() -> None:
    """So that the refusals below are due to the change and nothing else."""
    assert TOKENS.read_access(forged()).user_id == IDS["user_id"]


def test_a_refresh_token_is_the_same_text_again() -> None:
    expires_at = clock.now() + timedelta(days=7)
    assert TOKENS.refresh(**IDS, expires_at=expires_at) == TOKENS.refresh(**IDS, expires_at=expires_at)


@pytest.mark.case(4)
def test_neither_kind_passes_for_the_other() -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(TOKENS.refresh(**IDS, expires_at=clock.now() + timedelta(days=7)))
    with pytest.raises(Unauthenticated):
        TOKENS.read_refresh(TOKENS.access(**IDS))


@pytest.mark.case(4)
def test_a_refresh_token_is_no_access_token_even_under_one_secret() -> None:
    """Case 4."""
    same = Tokens(settings(refresh_secret=ACCESS))
    with pytest.raises(Unauthenticated):
        same.read_access(same.refresh(**IDS, expires_at=clock.now() + timedelta(days=7)))


@pytest.mark.case(2)
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, "RS256", "HS512", "hs256"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_another_algorithm_in_the_header(algorithm: str | None, signature: str) -> None:
    header, claims = parts(TOKENS.access(**IDS))
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(raw({**header, "alg": algorithm}, claims, signature))


@pytest.mark.case(2)
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_good_signature_of_another_algorithm(algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(forged(secret=ACCESS * 2, algorithm=algorithm))


@pytest.mark.case(3)
@pytest.mark.parametrize(
    "header",
    [
        {"kid": "other"},
        {"kid": "../../etc/passwd"},
        {"kid": "' or 1=1 --"},
        {"typ": "JWT"},
        {"typ": "rt+jwt"},
        {"crit": ["exp"]},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"cty": "JWT"},
    ],
)
def test_a_header_that_is_not_ours(header: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(forged(header=header))


@pytest.mark.case(2)
@pytest.mark.parametrize("missing", ["kid", "typ"])
def test_a_header_that_lacks_something(missing: str) -> None:
    header, claims = parts(TOKENS.access(**IDS))
    kept = {key: value for key, value in header.items() if key not in (missing, "alg")}
    token = jwt.encode(claims, ACCESS, algorithm="HS256", headers={"typ": None, **kept} if missing == "typ" else kept)
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(token)


@pytest.mark.case(3)
@pytest.mark.parametrize("secret", [REFRESH, "x" * 40, ACCESS.upper()])
def test_another_key(secret: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(forged(secret=secret))


@pytest.mark.case(4)
@pytest.mark.case(3)
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """Everybody has it: signed with it as if it were one, and brought along in the header."""
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header, claims = parts(TOKENS.access(**IDS))
    for extra in ({}, {"jwk": jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)}, {"x5c": [pem.decode()]}):
        unsigned = raw({**header, "alg": algorithm, **extra}, claims).rstrip(".")
        signature = base64.urlsafe_b64encode(hmac.digest(pem, unsigned.encode(), "sha256")).rstrip(b"=").decode()
        with pytest.raises(Unauthenticated):
            TOKENS.read_access(f"{unsigned}.{signature}")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "turbocat-refresh"},
        {"aud": ["somebody", "else"]},
        {"aud": None},
        {"iss": "evil"},
        {"iss": [ISSUER, "evil"]},
        {"sub": "1"},
        {"sub": 1},
        {"sid": None},
        {"tid": "x"},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": 10**18},
        {"exp": True},
        {"iat": 1.5},
        {"nbf": None},
    ],
)
def test_claims_that_are_not_ours(claims: dict[str, Any]) -> None:
    """Case 4: issuer, audience, and times that are none."""
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(forged(claims=claims))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "tid", "iat", "nbf", "exp"])
def test_a_missing_claim(claim: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(forged(without=claim))


@pytest.mark.case(4)
@pytest.mark.parametrize("seconds", [-600, -31])
def test_over_is_over(seconds: int) -> None:
    """Case 4."""
    with pytest.raises(TokenExpired):
        TOKENS.read_access(forged(claims={"exp": in_seconds(seconds)}))


@pytest.mark.case(4)
@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_not_yet(claim: str) -> None:
    """Case 4."""
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(forged(claims={claim: in_seconds(600)}))


@pytest.mark.case(4)
@pytest.mark.parametrize("claims", [{"exp": -25}, {"nbf": 25}, {"iat": 25}])
def test_clocks_may_differ_a_little(claims: dict[str, int]) -> None:
    """Case 4: by 30 s."""
    token = forged(claims={name: in_seconds(seconds) for name, seconds in claims.items()})
    assert TOKENS.read_access(token).user_id == IDS["user_id"]


def test_a_token_lives_fifteen_minutes() -> None:
    token = TOKENS.access(**IDS)
    with clock.freeze(clock.now() + timedelta(minutes=15)):
        assert TOKENS.read_access(token)
    with clock.freeze(clock.now() + timedelta(minutes=15) + LEEWAY + timedelta(seconds=1)), pytest.raises(TokenExpired):
        TOKENS.read_access(token)


@pytest.mark.case(2)
def test_every_changed_character_is_noticed() -> None:
    token = TOKENS.access(**IDS)
    head, claims, signature = token.split(".")
    for changed in (
        f"{head}.{claims}.{signature[:-2]}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}..{signature}",
        f"{head}.{claims[:-4]}AAAA.{signature}",
        f"{token}.",
        f" {token}",
    ):
        with pytest.raises(Unauthenticated):
            TOKENS.read_access(changed)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "\x00", "x" * 10_000])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read_access(text)


def test_the_key_id_tells_nothing_of_the_secret() -> None:
    header, _ = parts(TOKENS.access(**IDS))
    assert header["kid"] not in ACCESS
    assert len(header["kid"]) == 12


class TestRotation:
    """A new secret signs; the former one verifies as long as it is configured."""

    NEW = "newer-secret-" + "n" * 32

    def rotated(self) -> Tokens:
        return Tokens(
            settings(
                access_secret=self.NEW,
                access_secrets_old=(ACCESS,),
                refresh_secret=self.NEW[::-1],
                refresh_secrets_old=(REFRESH,),
            )
        )

    def test_tokens_of_the_former_secret_are_still_good(self) -> None:
        expires_at = clock.now() + timedelta(days=7)
        assert self.rotated().read_access(TOKENS.access(**IDS)).user_id == IDS["user_id"]
        assert self.rotated().read_refresh(TOKENS.refresh(**IDS, expires_at=expires_at)).user_id == IDS["user_id"]

    def test_only_the_newest_signs_and_names_itself(self) -> None:
        old, new = parts(TOKENS.access(**IDS))[0], parts(self.rotated().access(**IDS))[0]
        assert old["kid"] != new["kid"]
        with pytest.raises(Unauthenticated):
            TOKENS.read_access(self.rotated().access(**IDS))

    @pytest.mark.case(3)
    def test_a_key_id_does_not_choose_another_kinds_or_an_unknown_secret(self) -> None:
        refresh_kid = parts(TOKENS.refresh(**IDS, expires_at=clock.now() + timedelta(days=7)))[0]["kid"]
        new_kid = parts(self.rotated().access(**IDS))[0]["kid"]
        for kid, secret in ((refresh_kid, REFRESH), (new_kid, ACCESS), ("../" * 4, ""), ("' or 1=1", ACCESS)):
            with pytest.raises(Unauthenticated):
                self.rotated().read_access(forged(secret=secret or "x" * 32, header={"kid": kid}))

    def test_after_its_removal_a_former_secret_is_worth_nothing(self) -> None:
        with pytest.raises(Unauthenticated):
            Tokens(settings(access_secret=self.NEW)).read_access(TOKENS.access(**IDS))
