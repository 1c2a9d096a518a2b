"""Supabase Auth over HTTP: one call a method, nothing kept between two people.

The library's client is a session of whoever signed in with it last, so each call has its own.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

import httpx
import pydantic
import supabase_auth
from supabase_auth import constants, helpers, types
from supabase_auth.errors import AuthError, AuthRetryableError

from auth_service.accounts.models import (
    AccountLocked,
    BadCredentials,
    EmailTaken,
    InvalidLink,
    InvalidRefreshToken,
    TokenReused,
    WeakPassword,
)
from auth_service.guests.models import NoGuests
from auth_service.providers.supabase_errors import (
    IdentityBusy,
    IdentityUnavailable,
    NoAnswer,
    NoServiceKey,
    RefusedEmail,
    RegistrationClosed,
)
from kit import logs
from kit.circuit import Circuit
from kit.errors import DomainError, InvalidToken, NotFound
from tokens.supabase import Project

WITHIN = 10.0
"""Seconds for one call in all; a server that answers by drops does not hold anybody longer."""

FAILURES = 5
PAUSE = 2.0
"""So many calls in a row that nobody answers, and it is not asked for so many seconds."""

Reach = Literal["local", "global", "others"]
Codes = Mapping[str, type[DomainError]]

_EVERYWHERE: Codes = {
    "over_request_rate_limit": IdentityBusy,
    "over_email_send_rate_limit": IdentityBusy,
    "not_admin": NoServiceKey,
}
_SIGN_UP: Codes = {
    "user_already_exists": EmailTaken,
    "email_exists": EmailTaken,
    "weak_password": WeakPassword,
    "validation_failed": RefusedEmail,
    "email_address_invalid": RefusedEmail,
    "email_address_not_authorized": RefusedEmail,
    "signup_disabled": RegistrationClosed,
    "email_provider_disabled": RegistrationClosed,
}
_SIGN_IN: Codes = {
    "invalid_credentials": BadCredentials,
    "validation_failed": BadCredentials,
    "email_not_confirmed": BadCredentials,
    "user_banned": AccountLocked,
}
_REFRESH: Codes = {
    "refresh_token_already_used": TokenReused,
    "refresh_token_not_found": InvalidRefreshToken,
    "session_not_found": InvalidRefreshToken,
    "session_expired": InvalidRefreshToken,
    "user_not_found": InvalidRefreshToken,
    "validation_failed": InvalidRefreshToken,
    "user_banned": InvalidRefreshToken,
}
_OWN_TOKEN: Codes = {
    "bad_jwt": InvalidToken,
    "no_authorization": InvalidToken,
    "session_not_found": InvalidToken,
    "user_not_found": InvalidToken,
    "user_banned": InvalidToken,
}
_LINK: Codes = {
    "otp_expired": InvalidLink,
    "validation_failed": InvalidLink,
    "user_not_found": InvalidLink,
    "user_banned": InvalidLink,
}
_NO_GUESTS: Codes = {"anonymous_provider_disabled": NoGuests, "signup_disabled": NoGuests}
_NOBODY: Codes = {"user_not_found": NotFound}

_log = logs.get(__name__)


class SamePassword(DomainError):
    """The new password is the one that was there."""

    code = "auth.weak_password"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a sign-in, sign-up or refresh answered; no session while an address is unconfirmed."""

    user: types.User
    session: types.Session | None = field(repr=False)


def _circuit() -> Circuit:
    return Circuit("supabase", failures=FAILURES, pause=PAUSE)


@dataclass(frozen=True, slots=True)
class Cloud:
    """The calls. Each raises IdentityUnavailable when there is no answer that can be used, NoAnswer
    when there is none at all, and IdentityBusy when the project's own limits are reached, besides
    what it names."""

    project: Project
    http: httpx.AsyncClient
    service_key: str | None = field(default=None, repr=False)
    circuit: Circuit = field(default_factory=_circuit, repr=False)

    async def sign_up(self, email: str, password: str, data: Mapping[str, str]) -> Opened:
        """Raises EmailTaken, WeakPassword, RefusedEmail, RegistrationClosed."""
        async with self._asking("sign_up", _SIGN_UP):
            answer = await self._client().sign_up(
                {"email": email, "password": password, "options": {"data": dict(data)}}
            )
        return _opened(answer)

    async def sign_in(self, email: str, password: str) -> Opened:
        """Raises BadCredentials, AccountLocked."""
        if not email or not password:
            raise BadCredentials
        async with self._asking("sign_in", _SIGN_IN):
            answer = await self._client().sign_in_with_password(
                {"email": email, "password": password}
            )
        return _opened(answer)

    async def sign_in_guest(self) -> Opened:
        """Raises NoGuests."""
        async with self._asking("sign_in_guest", _NO_GUESTS):
            answer = await self._client().sign_in_anonymously()
        return _opened(answer)

    async def refresh(self, refresh_token: str) -> Opened:
        """Raises InvalidRefreshToken, TokenReused."""
        if not refresh_token:
            raise InvalidRefreshToken
        async with self._asking("refresh", _REFRESH):
            answer = await self._client().refresh_session(refresh_token)
        return _opened(answer)

    async def sign_out(self, access_token: str, scope: Reach) -> None:
        """A session that has ended already counts as ended."""
        if not access_token:
            raise InvalidToken
        try:
            async with self._asking("sign_out", _OWN_TOKEN):
                await self._client().admin.sign_out(access_token, scope)
        except InvalidToken:
            return

    async def user(self, access_token: str) -> types.User:
        """Raises InvalidToken."""
        if not access_token:
            raise InvalidToken
        async with self._asking("user", _OWN_TOKEN):
            answer = await self._client().get_user(access_token)
        if answer is None:
            raise InvalidToken
        return answer.user

    async def set_password(self, access_token: str, password: str) -> None:
        """Sets it and ends the other sessions. Raises InvalidToken, WeakPassword, SamePassword."""
        if not access_token:
            raise InvalidToken
        codes = {**_OWN_TOKEN, "weak_password": WeakPassword, "validation_failed": WeakPassword,
                 "same_password": SamePassword}  # fmt: skip
        async with self._asking("set_password", codes):
            # The client would do it for a session that it holds, after reading that first.
            key, version = self.project.key, constants.API_VERSIONS_2024_01_01_NAME
            headers = {
                "apikey": key,
                "authorization": f"Bearer {access_token}",
                constants.API_VERSION_HEADER_NAME: version,
            }
            url, body = f"{self.project.auth_url}/user", {"password": password}
            try:
                answer = await self.http.put(url, json=body, headers=headers)
                answer.raise_for_status()
            except (httpx.HTTPStatusError, httpx.RequestError) as refused:
                raise helpers.handle_exception(refused) from None

    async def recover(self, email: str) -> None:
        """Has a mail sent with a link to set a new password, if the address has an account."""
        async with self._asking("recover", {"validation_failed": InvalidLink}):
            await self._client().reset_password_for_email(email)

    async def verify(self, kind: Literal["signup", "recovery"], token_hash: str) -> Opened:
        """Uses up the token of a mailed link. Raises InvalidLink."""
        if not token_hash:
            raise InvalidLink
        async with self._asking("verify", _LINK):
            answer = await self._client().verify_otp({"type": kind, "token_hash": token_hash})
        return _opened(answer)

    async def create(self, attributes: types.AdminUserAttributes) -> types.User:
        """A confirmed account. Raises EmailTaken, WeakPassword, RefusedEmail, NoServiceKey."""
        async with self._asking("create", _SIGN_UP):
            return (await self._admin().create_user(attributes)).user

    async def read(self, user_id: UUID) -> types.User:
        """Raises NotFound, NoServiceKey."""
        async with self._asking("read", _NOBODY):
            return (await self._admin().get_user_by_id(str(user_id))).user

    async def change(self, user_id: UUID, attributes: types.AdminUserAttributes) -> None:
        """Raises NotFound, NoServiceKey."""
        async with self._asking("change", _NOBODY):
            await self._admin().update_user_by_id(str(user_id), attributes)

    async def delete(self, user_id: UUID) -> None:
        """An account that is gone already counts as deleted. Raises NoServiceKey."""
        try:
            async with self._asking("delete", _NOBODY):
                await self._admin().delete_user(str(user_id))
        except NotFound:
            return

    @asynccontextmanager
    async def _asking(self, call: str, codes: Codes) -> AsyncIterator[None]:
        """Turns what the library raises into our errors; their texts may quote tokens and are lost.

        A project that has not answered some times in a row is not asked for a while.
        """
        if not self.circuit.admits():
            raise IdentityUnavailable
        try:
            async with asyncio.timeout(WITHIN):
                yield
        except AuthError as refused:
            if isinstance(refused, AuthRetryableError):
                self.circuit.failed()
            else:
                self.circuit.answered()
            raise _translated(call, refused, codes) from None
        except TimeoutError as failed:
            self.circuit.failed()
            raise _unusable(call, failed) from None
        except pydantic.ValidationError as failed:
            raise _unusable(call, failed) from None
        self.circuit.answered()

    def _client(self) -> supabase_auth.AsyncGoTrueClient:
        return self._with(self.project.key)

    def _admin(self) -> supabase_auth.AsyncGoTrueAdminAPI:
        if self.service_key is None:
            raise NoServiceKey
        return self._with(self.service_key).admin

    def _with(self, key: str) -> supabase_auth.AsyncGoTrueClient:
        return supabase_auth.AsyncGoTrueClient(
            url=self.project.auth_url,
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            http_client=self.http,
            persist_session=False,
            auto_refresh_token=False,
        )


def _opened(answer: types.AuthResponse) -> Opened:
    if answer.user is None:
        raise IdentityUnavailable
    return Opened(answer.user, answer.session)


def _unusable(call: str, failed: Exception) -> IdentityUnavailable:
    _log.warning("supabase.unusable", call=call, error=type(failed).__name__)
    return NoAnswer() if isinstance(failed, TimeoutError) else IdentityUnavailable()


def _translated(call: str, refused: AuthError, codes: Codes) -> DomainError:
    known = codes.get(refused.code or "") or _EVERYWHERE.get(refused.code or "")
    if known is not None:
        return known()
    status = getattr(refused, "status", None)
    _log.warning(
        "supabase.refused",
        call=call,
        error=type(refused).__name__,
        code=refused.code,
        status=status,
    )
    return NoAnswer() if status == 0 else IdentityUnavailable()
