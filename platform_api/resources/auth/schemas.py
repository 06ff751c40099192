"""Identity in the contract."""

from typing import Annotated, Literal
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, SecretStr

from platform_api.kit.schemas import Body, UtcTime, View
from platform_api.resources.tenants.schemas import TenantName, TenantView
from platform_api.resources.users.schemas import FullName, UserView

PASSWORD_RULES = "At least 8 characters with upper, lower, digit and special; at most 72 bytes in UTF-8"  # noqa: S105  # a text


def _deliverable_form(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise ValueError("Not an e-mail address (name@example.com)") from error


EmailAddress = Annotated[
    str,
    Field(max_length=254, json_schema_extra={"format": "email"}),
    AfterValidator(_deliverable_form),
]


class Registration(Body):
    """A new person and their tenant."""

    email: EmailAddress
    password: SecretStr = Field(max_length=1000, description=PASSWORD_RULES)
    full_name: FullName
    tenant_name: TenantName | None = None


class Login(Body):
    """Address and password."""

    email: str = Field(max_length=254)
    password: SecretStr = Field(max_length=1000)


class Refresh(Body):
    """The newest refresh token of the session."""

    refresh_token: SecretStr = Field(max_length=4000)


class AddressOnly(Body):
    """The address of an account."""

    email: EmailAddress


OneTimeToken = Annotated[SecretStr, Field(min_length=1, max_length=200, description="The token of the mail")]


class TokenOnly(Body):
    """What came by mail."""

    token: OneTimeToken


class PasswordReset(TokenOnly):
    """What came by mail, and the password as it shall be."""

    new_password: SecretStr = Field(max_length=1000, description=PASSWORD_RULES)


class TenantChoice(Body):
    """Where to go."""

    tenant_id: UUID


class TokensView(View):
    """Send `accessToken` as `Authorization: Bearer …`; keep `refreshToken` for `/auth/refresh`."""

    token_type: Literal["Bearer"]
    access_token: str
    access_token_expires_at: UtcTime
    refresh_token: str
    refresh_token_expires_at: UtcTime


class SignedInView(View):
    """Who is logged in, where, and with what."""

    user: UserView
    tenant: TenantView
    tokens: TokensView


class RefreshedView(View):
    """The tokens that follow."""

    tokens: TokensView
