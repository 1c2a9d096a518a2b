"""What the service decides about accounts before and after it asks the identity provider."""

from auth_service.accounts.models import Register, Scope, SignedIn, WeakPassword
from auth_service.providers import Provider
from kit.identity import Actor
from kit.tokens import Verifier

SHORTEST_CHARACTERS = 8
LONGEST_BYTES = 72


async def register(provider: Provider, wanted: Register) -> SignedIn:
    """Makes an account and signs it in.

    Raises:
        WeakPassword, EmailTaken
    """
    password = wanted.password.get_secret_value()
    check_strength(password)
    return await provider.register(wanted.email, password, wanted.full_name)


def check_strength(password: str) -> None:
    """Raises WeakPassword."""
    if len(password) < SHORTEST_CHARACTERS or len(password.encode()) > LONGEST_BYTES:
        raise WeakPassword


async def logout(provider: Provider, verifier: Verifier, actor: Actor, scope: Scope) -> None:
    """Ends the caller's session, or all of theirs; this instance knows at once."""
    verifier.ended(await provider.logout(actor, scope))
