"""Accounts as the API shows them, and what may go wrong with them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from auth_service.emails import Email
from auth_service.profiles.models import FullName
from kit.errors import DomainError, Kind
from kit.identity import Role

Scope = Literal["local", "global"]


def _encodable(secret: SecretStr) -> SecretStr:
    """JSON can write half a surrogate pair, which no encoding of text can."""
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("not well-formed Unicode text") from None
    return secret


NewPassword = Annotated[SecretStr, AfterValidator(_encodable)]
"""Of any length here: whether it will do is said by name, see `actions`."""
Shown = Annotated[SecretStr, Field(max_length=8192), AfterValidator(_encodable)]
"""A password or token that somebody shows, to whoever keeps the accounts."""


class Register(BaseModel):
    """A new account that is wanted."""

    email: Email
    password: NewPassword
    full_name: FullName = None


class Login(BaseModel):
    """An account that somebody says is theirs; a malformed e-mail is merely an unknown one."""

    email: Annotated[str, Field(max_length=1000)]
    password: Shown


class Refresh(BaseModel):
    """A refresh token to exchange."""

    refresh_token: Shown


class MailedToken(BaseModel):
    """The token of a mailed link."""

    token: Shown


class Forgot(BaseModel):
    """An account whose password somebody does not know any more."""

    email: Annotated[str, Field(max_length=1000)]


class Reset(BaseModel):
    """A new password, by the token of a mailed link."""

    token: Shown
    password: NewPassword


class ChangePassword(BaseModel):
    """A new password, by the one that is known."""

    current_password: Shown
    new_password: NewPassword


class SetRoles(BaseModel):
    """All the roles that somebody shall have from now on."""

    roles: Annotated[frozenset[Role], Field(min_length=1)]


class User(BaseModel):
    """An account."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    email: str
    full_name: str | None
    roles: list[Role]
    created_at: datetime


class Session(BaseModel):
    """What a client keeps to stay signed in; `expires_in` is in seconds."""

    model_config = ConfigDict(frozen=True)

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["bearer"] = Field(default="bearer")
    expires_in: int
    expires_at: datetime


class GuestSession(BaseModel):
    """What a guest keeps for as long as it lasts; it cannot be refreshed."""

    model_config = ConfigDict(frozen=True)

    guest_id: UUID
    access_token: str = Field(repr=False)
    token_type: Literal["bearer"] = Field(default="bearer")
    expires_in: int
    expires_at: datetime


class SignedIn(BaseModel):
    """Who signed in; no session while an e-mail address waits for its confirmation."""

    model_config = ConfigDict(frozen=True)

    user: User
    session: Session | None


class ValidUser(BaseModel):
    """The part of an account that a token's check answers."""

    id: UUID
    email: str
    roles: list[Role]


class Valid(BaseModel):
    """The token holds."""

    valid: Literal[True] = True
    user: ValidUser


class EmailTaken(DomainError):
    """There is an account with this e-mail address already."""

    kind = Kind.CONFLICT
    code = "auth.email_taken"


class WeakPassword(DomainError):
    """A password needs at least 8 characters and at most 72 bytes."""

    kind = Kind.INVALID
    code = "auth.weak_password"


class BadCredentials(DomainError):
    """The e-mail address or the password is not right."""

    kind = Kind.UNAUTHENTICATED
    code = "auth.bad_credentials"


class AccountLocked(DomainError):
    """This account is locked; ask the clinic."""

    kind = Kind.FORBIDDEN
    code = "auth.account_locked"


class InvalidLink(DomainError):
    """This link was used before, has expired or was never made; ask for a new one."""

    kind = Kind.INVALID
    code = "auth.invalid_link"


class InvalidRefreshToken(DomainError):
    """The refresh token is not valid; sign in again."""

    kind = Kind.UNAUTHENTICATED
    code = "auth.invalid_token"


class TokenReused(DomainError):
    """This refresh token was used before; its session has ended, sign in again."""

    kind = Kind.UNAUTHENTICATED
    code = "auth.token_reused"
