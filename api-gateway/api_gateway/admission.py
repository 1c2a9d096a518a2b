"""Who comes in, and how often: tokens are verified and requests counted here."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

import tokens
from api_gateway import headers, refusals, routes
from api_gateway.limits import Limiter, Policy, Taken
from kit.database import Clock

PROOF_LIFE = timedelta(seconds=120)
PROOF_RENEWED = 60.0


@dataclass(frozen=True, slots=True)
class Policies:
    """For people by their id, for anybody by address, for what passwords can be tried at, and for
    all that comes by a signed webhook together."""

    person: Policy
    address: Policy
    sign_in: Policy
    webhook: Policy


@dataclass(frozen=True, slots=True)
class Admission:
    """The door's judgement; `client` is what an address is counted as."""

    verifier: tokens.Verifier
    limiter: Limiter
    policies: Policies

    async def public(self, route: routes.Route, client: bytes) -> headers.Pairs:
        """Lets anybody in who does not come too often; headers of the answer.

        Raises:
            RateLimited
        """
        policies = self.policies
        if route.webhook:
            return await self._take(policies.webhook, route.path.encode())
        return await self._take(policies.sign_in if route.sign_in else policies.address, client)

    async def guarded(self, token: str, client: bytes) -> headers.Pairs:
        """Lets the person of a token in; headers of the answer.

        A token that was not seen before costs a request of its address, so nobody makes us verify
        forged ones without end.

        Raises:
            RateLimited, InvalidToken, ServiceUnavailable
        """
        actor = self.verifier.cached(token)
        if actor is None:
            await self._take(self.policies.address, client)
            actor = await self.verifier.verify(token)
        assert actor.id is not None, "access tokens have a subject"
        return await self._take(self.policies.person, actor.id.bytes)

    async def _take(self, policy: Policy, key: bytes) -> headers.Pairs:
        if not policy.quota:
            return []
        taken: Taken = await self.limiter.take(policy, key)
        if taken.wait:
            raise refusals.RateLimited(taken.wait, taken.pairs)
        return taken.pairs


@dataclass(slots=True)
class Proof:
    """A service token by which the auth service knows that the gateway names the client."""

    secret: str = field(repr=False)
    clock: Clock
    _token: bytes = field(default=b"", init=False, repr=False)
    _renew_at: float = field(default=0.0, init=False)

    def lines(self, address: str) -> bytes:
        """Header lines that name the client."""
        if time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + PROOF_RENEWED
            self._token = tokens.service_token(
                self.secret, caller="gateway", audience="auth", now=self.clock(), ttl=PROOF_LIFE
            ).encode()
        return b"x-medbot-client: %b\r\nx-medbot-gateway: %b\r\n" % (
            address.encode("ascii", "replace"),
            self._token,
        )
