"""Guests as the API shows them, and what may go wrong with them."""

from pydantic import BaseModel

from auth_service.accounts.models import Shown
from kit.errors import DomainError, Kind


class Join(BaseModel):
    """A guest who is the caller, proved by the guest's access token."""

    guest_token: Shown


class NoGuests(DomainError):
    """This installation has no guests; make an account."""

    kind = Kind.FORBIDDEN
    code = "auth.no_guests"


class NotAGuest(DomainError):
    """The token is not one of a guest whose hour lasts still."""

    kind = Kind.INVALID
    code = "auth.not_a_guest"


class GuestJoined(DomainError):
    """This guest has become somebody else."""

    kind = Kind.CONFLICT
    code = "auth.guest_joined"
