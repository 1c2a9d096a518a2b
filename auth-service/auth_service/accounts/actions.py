"""What the service decides about accounts before and after it asks the identity provider."""

import asyncio
from uuid import UUID

from auth_service.accounts.client import Client
from auth_service.accounts.models import (
    BadCredentials,
    ChangePassword,
    Login,
    Register,
    Reset,
    Scope,
    SignedIn,
    User,
    WeakPassword,
)
from auth_service.lockout.gate import Gate, Locked
from auth_service.providers import Device, Provider
from kit.identity import Actor
from tokens import Verifier

SHORTEST_CHARACTERS = 8
LONGEST_BYTES = 72
FORGOT_TAKES = 0.1
"""Seconds until the answer to whoever forgot a password, whatever there was to do."""


async def register(provider: Provider, wanted: Register, client: Client) -> SignedIn:
    """Makes an account and signs it in, or mails a link that does.

    Raises:
        WeakPassword, EmailTaken
    """
    password = wanted.password.get_secret_value()
    check_strength(password)
    return await provider.register(wanted.email, password, wanted.full_name, device_of(client))


async def create(provider: Provider, wanted: Register) -> User:
    """Makes an account for whoever administers the installation, who knows the address.

    Raises:
        WeakPassword, EmailTaken
    """
    password = wanted.password.get_secret_value()
    check_strength(password)
    return await provider.create(wanted.email, password, wanted.full_name)


def check_strength(password: str) -> None:
    """Raises WeakPassword."""
    if len(password) < SHORTEST_CHARACTERS or len(password.encode()) > LONGEST_BYTES:
        raise WeakPassword


async def forgot(provider: Provider, email: str) -> None:
    """Has a link mailed to whoever has the account, if there is one.

    It ends when its time is up, so that the row of a mail, which takes a little longer to write
    when there is somebody to get it, does not show in the time of the answer.
    """
    up = asyncio.get_running_loop().time() + FORGOT_TAKES
    await provider.forgot(email)
    await asyncio.sleep(up - asyncio.get_running_loop().time())


async def login(
    provider: Provider, gate: Gate, verifier: Verifier, given: Login, client: Client
) -> SignedIn:
    """Opens a session.

    Raises:
        Locked: too many failed before, here or elsewhere.
        BadCredentials, AccountLocked
    """
    attempt = gate.attempt(given.email, client.address)
    await gate.check(attempt)
    try:
        signed_in = await provider.login(
            given.email, given.password.get_secret_value(), device_of(client)
        )
    except BadCredentials:
        await gate.failed(attempt)
        raise
    try:
        await gate.passed(attempt, signed_in.user.id)
    except Locked:
        if signed_in.session is not None:
            actor = await verifier.verify(signed_in.session.access_token)
            verifier.ended(await provider.logout(actor, "local"))
        raise
    return signed_in


async def change_password(
    provider: Provider,
    gate: Gate,
    verifier: Verifier,
    actor: Actor,
    given: ChangePassword,
    client: Client,
) -> None:
    """Sets a new password; other sessions end. A wrong current one counts like a failed sign-in.

    Raises:
        WeakPassword, Locked, BadCredentials
    """
    new = given.new_password.get_secret_value()
    check_strength(new)
    attempt = gate.attempt(actor.email or str(actor.id), client.address)
    await gate.check(attempt)
    try:
        ended = await provider.change_password(
            actor, given.current_password.get_secret_value(), new
        )
    except BadCredentials:
        await gate.failed(attempt)
        raise
    verifier.ended(ended)


async def reset_password(
    provider: Provider, gate: Gate, verifier: Verifier, given: Reset, client: Client
) -> None:
    """Sets a new password by a mailed link. Whoever can do that is not kept out any longer.

    Raises:
        WeakPassword, InvalidLink
    """
    password = given.password.get_secret_value()
    check_strength(password)
    user, ended = await provider.reset(given.token.get_secret_value(), password)
    verifier.ended(ended)
    await gate.opened(gate.attempt(user.email, client.address), user.id)


async def end_session(
    provider: Provider, verifier: Verifier, actor: Actor, session_id: UUID
) -> None:
    """Ends one of the caller's sessions.

    Raises:
        NotFound
    """
    verifier.ended(await provider.end_session(actor, session_id))


def device_of(client: Client) -> Device:
    """What a session is told apart by."""
    return Device(client.network, client.program)


async def logout(provider: Provider, verifier: Verifier, actor: Actor, scope: Scope) -> None:
    """Ends the caller's session, or all of theirs; this instance knows at once."""
    verifier.ended(await provider.logout(actor, scope))
