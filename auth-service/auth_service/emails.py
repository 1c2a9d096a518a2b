"""One way to write an e-mail address, so that two spellings of one are one account."""

import unicodedata
from typing import Annotated

import email_validator
from pydantic import AfterValidator

LONGEST = 254


def normalise(address: str) -> str:
    """The address in lower case and Unicode's composed form.

    What it answers is an address too, and its own normal form: letters may take more room in lower
    case.

    Raises:
        ValueError: it is not an address; the text does not quote it.
    """
    lowered = _lowered(address)
    if _lowered(lowered) != lowered:
        raise ValueError("not an e-mail address")
    return lowered


def _lowered(address: str) -> str:
    if len(address) > LONGEST:
        raise ValueError("an e-mail address has at most 254 characters")
    try:
        checked = email_validator.validate_email(
            address.strip(), check_deliverability=False, test_environment=True
        )
    except (email_validator.EmailNotValidError, UnicodeError):
        raise ValueError("not an e-mail address") from None
    return unicodedata.normalize("NFC", checked.normalized.lower())


def lenient(address: str) -> str:
    """The same, but "" for what is no address: nobody has it, and it takes the same time."""
    try:
        return normalise(address)
    except ValueError:
        return ""


Email = Annotated[str, AfterValidator(normalise)]
