"""What the auth service reads from the environment."""

from email.headerregistry import Address
from email.utils import parseaddr

from pydantic import Field, SecretStr, field_validator

from auth_service import retention
from auth_service.mails import sending, smtp
from kit import settings
from kit.database import Clock
from privacy.audit import seal_of
from privacy.retention import Class


class Settings(settings.Settings):
    """Mail, who may come in without an account, and where the others are that keep rows of people
    (besides those of every service). `public_url` is where the links of mails lead:
    the pages `/verify` and `/reset-password` of a front end."""

    supabase_service_role_key: SecretStr | None = None
    voice_service_url: settings.ServiceUrl = "http://127.0.0.1:8003"
    smtp_url: SecretStr | None = None
    mail_from: str = "Medbot <no-reply@medbot.example>"
    public_url: settings.ServiceUrl = "http://localhost:8000"
    email_confirmation: bool = False
    allow_guests: bool = False
    retention_audit_days: float | None = Field(default=None, ge=31, le=36_500)
    retention_sessions_days: float | None = Field(default=None, ge=1, le=36_500)

    @field_validator("smtp_url")
    @classmethod
    def _an_smtp_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            smtp.parse(url.get_secret_value())
        return url

    @field_validator("mail_from")
    @classmethod
    def _a_sender(cls, written: str) -> str:
        sender_of(written)
        return written

    def retained(self, clock: Clock) -> list[Class]:
        """How long this service keeps what."""
        return retention.classes(
            seal_of(self.service_secret()),
            clock,
            audit_days=self.retention_audit_days,
            sessions_days=self.retention_sessions_days,
        )

    def post(self) -> sending.Post:
        """How mails leave."""
        url = self.smtp_url
        return sending.Post(
            server=smtp.parse(url.get_secret_value()) if url is not None else None,
            sender=sender_of(self.mail_from),
            public_url=self.public_url,
            show_links=self.debug or self.log_format == "console",
        )


def sender_of(written: str) -> Address:
    """`Medbot <medbot@example.org>` as an address.

    Raises:
        ValueError: it is none.
    """
    name, address = parseaddr(written)
    return smtp.address(address, name)
