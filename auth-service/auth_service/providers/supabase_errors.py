"""What may go wrong with accounts only where Supabase keeps them."""

from kit.errors import DomainError, Kind, ServiceUnavailable


class IdentityUnavailable(ServiceUnavailable):
    """The accounts cannot be reached now; try again."""

    retry_after = 2


class NoAnswer(IdentityUnavailable):
    """The accounts did not answer in time; try again.

    What was asked of them may be done yet.
    """


class IdentityBusy(DomainError):
    """The accounts are asked too much now; wait, then try again."""

    kind = Kind.TOO_MANY
    code = "auth.busy"
    retry_after = 30


class NoServiceKey(DomainError):
    """This installation may not administer its accounts: SUPABASE_SERVICE_ROLE_KEY is needed."""

    kind = Kind.UNAVAILABLE
    code = "auth.no_service_key"
    retry_after = 60


class RefusedEmail(DomainError):
    """No account is made for this e-mail address."""

    kind = Kind.INVALID
    code = "auth.email_refused"


class RegistrationClosed(DomainError):
    """Nobody can make an account here."""

    kind = Kind.FORBIDDEN
    code = "auth.registration_closed"
