"""Every mail that is sent, as plain text and as HTML: one letter, two writings."""

import html
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from string import Template

_PAGE = Template(
    """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$subject</title></head>
<body style="margin:0;padding:24px;background:#f4f6f8;font-family:Arial,sans-serif;color:#1c2733">
<div style="max-width:520px;margin:0 auto;padding:24px;background:#ffffff;border-radius:8px">
$paragraphs
</div></body></html>
"""
)
_BUTTON = (
    '<p><a href="{link}" style="display:inline-block;padding:12px 20px;background:#0b5cad;'
    'color:#ffffff;text-decoration:none;border-radius:6px">{label}</a></p>'
    '<p style="font-size:13px;color:#51606e">Or open this address: {link}</p>'
)


@dataclass(frozen=True, slots=True)
class Letter:
    """Paragraphs before and after the link, which a letter without `label` does not have."""

    subject: str
    before: tuple[str, ...]
    label: str = ""
    after: tuple[str, ...] = ()


VERIFY = Letter(
    "Confirm your e-mail address",
    (
        "Hello,",
        "somebody, most likely you, made a Medbot account with this e-mail address.",
        "Confirm the address to finish. The link works once, within an hour.",
    ),
    "Confirm the address",
    ("If it was not you, do nothing: without the link there will be no account.",),
)
KNOWN = Letter(
    "You have a Medbot account already",
    (
        "Hello,",
        "somebody, most likely you, wanted to make a Medbot account with this e-mail address. "
        "There is one already, and nothing was changed.",
        "If it was you: sign in as usual, or ask for a new password where you sign in.",
        "If it was not you, you need not do anything.",
    ),
)
RESET = Letter(
    "Set a new password",
    (
        "Hello,",
        "somebody, most likely you, asked for a new password of your Medbot account.",
        "The link works once, within an hour. A new password signs you out everywhere.",
    ),
    "Set a new password",
    ("If it was not you, do nothing: your password stays as it is.",),
)
PASSWORD_CHANGED = Letter(
    "Your password was changed",
    (
        "Hello,",
        "the password of your Medbot account was changed, and other places were signed out.",
        "If it was not you, ask for a new password where you sign in, at once.",
    ),
)


def plain(letter: Letter, link: str | None) -> str:
    """The letter as text."""
    shown = (link,) if link is not None else ()
    return "\n\n".join((*letter.before, *shown, *letter.after)) + "\n"


def page(letter: Letter, link: str | None) -> str:
    """The letter as HTML; nothing in it is loaded from elsewhere."""
    parts = [f"<p>{html.escape(text)}</p>" for text in letter.before]
    if link is not None:
        parts.append(_BUTTON.format(link=html.escape(link), label=html.escape(letter.label)))
    parts += [f"<p>{html.escape(text)}</p>" for text in letter.after]
    return _PAGE.substitute(subject=html.escape(letter.subject), paragraphs="\n".join(parts))


def compose(
    letter: Letter, link: str | None, *, sender: Address, recipient: Address, message_id: str
) -> EmailMessage:
    """The letter as a message; the same `message_id` marks a second copy of one mail."""
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = sender
    message["To"] = recipient
    message["Message-ID"] = f"<{message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain(letter, link))
    message.add_alternative(page(letter, link), subtype="html")
    return message
