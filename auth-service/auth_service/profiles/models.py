"""A profile: who a person is to the clinic, how to speak to them, what they allow."""

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from kit.errors import DomainError, Kind

OLDEST_BIRTH = date(1900, 1, 1)
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?")


def _named(name: str | None) -> str | None:
    """Without outer space; a blank name is none."""
    if name is None or not (stripped := name.strip()):
        return None
    if len(stripped) > 200 or any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in stripped):
        raise ValueError("a name has at most 200 characters, none of them a control character")
    return stripped


def _locale(tag: str) -> str:
    """A language tag in its usual writing: `en-GB`, `zh-Hant-TW`."""
    found = _LOCALE.fullmatch(tag)
    if found is None:
        raise ValueError("a locale is a language tag such as en-GB")
    language, script, region = found.groups()
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)


def _none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


FullName = Annotated[str | None, AfterValidator(_named)]
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$", examples=["+442071234567"])]
Birth = Annotated[date, Field(ge=OLDEST_BIRTH)]
Locale = Annotated[str, AfterValidator(_locale), Field(examples=["en-GB"])]
TimeZone = Annotated[str, Field(max_length=64, examples=["Europe/London"])]
Consent = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,49}$", examples=["voice_recording"])]
BlankIsNone = BeforeValidator(_none_if_blank)


class ChangeProfile(BaseModel):
    """Fields that are sent are set, null clears; those that are not sent stay."""

    model_config = ConfigDict(extra="forbid")

    full_name: FullName = None
    phone: Annotated[Phone | None, BlankIsNone] = None
    date_of_birth: Annotated[Birth | None, BlankIsNone] = None
    locale: Annotated[Locale | None, BlankIsNone] = None
    time_zone: Annotated[TimeZone | None, BlankIsNone] = None
    consents: Annotated[dict[Consent, StrictBool], Field(max_length=50)] | None = None


class Profile(BaseModel):
    """A profile as it stands."""

    model_config = ConfigDict(frozen=True)

    full_name: str | None = None
    phone: str | None = None
    date_of_birth: date | None = None
    locale: str | None = None
    time_zone: str | None = None
    consents: dict[str, bool] = Field(default_factory=dict)
    updated_at: datetime | None = None


class BirthInFuture(DomainError):
    """A date of birth cannot lie in the future."""

    kind = Kind.INVALID
    code = "profile.birth_in_future"


class UnknownTimeZone(DomainError):
    """There is no such time zone; use a name such as Europe/London."""

    kind = Kind.INVALID
    code = "profile.unknown_time_zone"
