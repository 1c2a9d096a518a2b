"""What kind of words these are: a back-channel, or a number in the middle of being given."""

import re

BACKCHANNELS = frozenset(
    [
        "hm",
        "hmm",
        "hmmm",
        "mm",
        "mmm",
        "mhm",
        "mmhm",
        "uh-huh",
        "uhuh",
        "uh",
        "huh",
        "ah",
        "oh",
        "ok",
        "okay",
        "yeah",
        "yep",
        "yup",
        "right",
        "sure",
        "alright",
        "cool",
        "good",
        "fine",
        "great",
        "i",
        "see",
        "got",
        "it",
        "go",
        "on",
    ]
) | frozenset({"uh-huh", "mm-hmm"})
_WORDS = re.compile(r"[a-z']+(?:-[a-z]+)*")
_MOST_WORDS = 3

_NUMBER = (
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty"
    " ninety hundred thousand double triple nought"
).replace(" ", "|")
_MONTH = (
    "january february march april may june july august september october november december"
).replace(" ", "|")
_ORDINAL = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
    " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
).replace(" ", "|")
_GIVING = re.compile(
    rf"(?:(?:\d|\b(?:{_NUMBER})\b)[\s,.-]*$"
    rf"|\b(?:{_MONTH})\b[\s,.]*$"
    rf"|(?:\d(?:st|nd|rd|th)|\b(?:{_ORDINAL}))\b(?: of)?[\s,.]*$"
    r"|\b(?:my|the|his|her) (?:full |first |last |phone |mobile |post|zip )?"
    r"(?:name|surname|number|code|birthday|date of birth|address|postcode|email)(?: is|'s)?[\s,.]*$"
    r"|\b(?:i live (?:at|in|on)|born (?:on|in)|spelled|spelt|at)[\s,.]*$"
    r"|(?:\b[a-z]\b[\s,.-]*){2,}$)",
    re.IGNORECASE,
)
_ASKS_FOR = re.compile(
    r"\b(?:phone|number|name|surname|spell|date of birth|birthday|born|address|postcode|zip|"
    r"e-?mail|code|digits?)\b[^.!?]*\?\s*$",
    re.IGNORECASE,
)


_YES = (
    r"(?:yes|yeah|yep|yup|correct|right|exactly|i did"
    r"|(?:that's|that is|it's|it is|you're|you are) (?:right|correct|it))"
)
_POLITE = (
    r"(?:please|thank you|thanks|it is|i do|i said that|(?:that's|that is) what i (?:said|meant))"
)
_ONLY_YES = re.compile(rf"(?:oh )?{_YES}(?: (?:{_YES}|{_POLITE}))*")
_YES_AND = re.compile(
    r"(?:oh )?(?:(?:yes|yeah|yep|yup|correct|exactly|(?:that's|that is) (?:right|correct))\b"
    r"|(?:right|i did) (?:and|but)\b)"
)
_NO = re.compile(
    r"^(?:oh )?(?:no|nope|wrong|not really|i didn't|i did not)[.,!]?(?: \w+){0,2}[.!]?$", re.I
)


def agrees(text: str) -> bool:
    """Whether these words only say yes to a question."""
    return bool(_ONLY_YES.fullmatch(_plain(text)))


def agrees_and_more(text: str) -> bool:
    """Whether these words begin with a yes, and go on."""
    return bool(_YES_AND.match(_plain(text))) and not agrees(text)


def denies(text: str) -> bool:
    """Whether these words only say no to a question."""
    return bool(_NO.match(text.strip()))


def backchannel(text: str) -> bool:
    """Whether these words only say "I am listening"."""
    words = _WORDS.findall(text.lower())
    return bool(words) and len(words) <= _MOST_WORDS and all(word in BACKCHANNELS for word in words)


def in_the_middle(text: str, asked: str) -> bool:
    """Whether the caller may be giving a number, a name, a date or an address and not be done.

    `asked` is what the agent said last.
    """
    return bool(_GIVING.search(text)) or bool(_ASKS_FOR.search(asked))


def _plain(text: str) -> str:
    """The words alone."""
    return " ".join(_WORDS.findall(text.lower().replace("’", "'")))
