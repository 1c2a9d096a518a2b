"""Text that PostgreSQL and UTF-8 can hold."""

from typing import Annotated

from pydantic import AfterValidator


def storable(text: str) -> str:
    """Refuses NUL and lone surrogates, which JSON can write and the database cannot keep."""
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    return text


Storable = Annotated[str, AfterValidator(storable)]
