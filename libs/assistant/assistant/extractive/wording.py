"""What library mode says in its own words, and when."""

import re
from collections.abc import Sequence

from assistant.extractive import pages
from assistant.extractive.question import Question

DECLINED = (
    "I have nothing in my library that answers this, so I would rather not guess; "
    "for anything about your health, a pharmacist, nurse or doctor can help."
)
DECLINED_DIAGNOSIS = (
    "I cannot make a diagnosis, and I have nothing in my library that fits this; a doctor or "
    "nurse can look into it. Get medical help today if it is getting worse or you feel very unwell."
)
GREETING = (
    "Hello. Ask me about a common illness, an injury or a medicine, and I will answer from my "
    "library and name the sources."
)
HELP = (
    "Tell me what is wrong, and I will look in my library. If someone is in danger, call emergency "
    "services now."
)
THANKS = "You are welcome. Ask again whenever something else comes up."
NO_EXACT = "My library has a page on {title}, but nothing on that exact point."
ASK = "A pharmacist or doctor can answer it for you."
ASK_TAKE = "Ask a pharmacist, midwife or doctor before any medicine {people}."
PEOPLE = {
    "child": "for a child",
    "pregnant": "in pregnancy",
    "breastfeeding": "while breastfeeding",
}
ASK_DOSE = {
    "child": "A pharmacist or doctor can tell you the right amount for this child.",
    "pregnant": "In pregnancy, ask a midwife, pharmacist or doctor before any dose.",
    "breastfeeding": "While breastfeeding, ask a pharmacist, midwife or doctor about the dose.",
}
NO_DIAGNOSIS = "I cannot make a diagnosis, but a doctor or nurse can. My library says this:"
NO_STOPPING = "Do not stop or change a prescribed medicine before asking whoever prescribed it."

STOPPING = re.compile(
    r"\b(?:(?:can|could|should|may|if) (?:i|he|she|we|they|my \w+) (?:just |suddenly )?"
    r"(?:stop|come off|quit)|stop(?:ping)? taking|coming off|(?:want|need|trying|going|how) to "
    r"(?:stop|come off))\b"
)
DIAGNOSIS = re.compile(
    r"\b(?:do|does|have|has|could|might|can) (?:i|he|she|we|my \w+) (?:have|got|be having)\b(?! to)"
    r"|(?:[.!;,] |\b(?:i|my|he|she)\b.* )(?:so |and )?what (?:is|could|might|can) "
    r"(?:it|this|that)(?: be)?\W*$"
    r"|\b(?:is|could|might|can) (?:it|this|that|these) (?:be )?(?!safe|ok|bad|normal|serious|"
    r"dangerous|contagious|true|better|worse|possible|too|catching|an emergency|permanent|curable|"
    r"common|rare|hereditary|genetic|infectious|painful|treatable|harmful|fatal|lifelong|good|worth|"
    r"going|likely|necessary|allowed)"
)
_ILLNESS = re.compile(
    r"\b(?:lump|mole|rash|spots?|pain|cancer|tumour|swelling|swollen|bleeding|discharge|blood)\b"
)
_WHAT_IS_IT = re.compile(r"\bis (?:it|this|that|my|the)\b|\bwhat (?:is|could|might)\b")
_CHANGING = re.compile(
    r"\b(?:double|halve|increase|lower|reduce|raise|up|change|skip) (?:my|the|his|her) "
    r"(?:\w+ ){0,2}(?:dose|tablets?|medicines?|pills?)\b|\b(?:double|halve|increase|change) my \w+"
)
_TAKING = re.compile(r"\b(?:take|taking|give|giving|medicines?|tablets?|pills?|drugs?)\b")
_POLITE = r"(?: there| you| again| so much| very much| a lot| everyone| doctor| medbot)*\W*$"
_GREETS = re.compile(rf"^(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening)){_POLITE}")
_HELP = re.compile(rf"^(?:please )?(?:help(?: me)?|i need help){_POLITE}")
_THANKS = re.compile(rf"^(?:ok(?:ay)? |great |many )?(?:thanks|thank|cheers|ta|thx){_POLITE}")


def declining(text: str) -> str:
    """What to say when the library has nothing on the normalised question `text`."""
    if _GREETS.match(text):
        return GREETING
    if _HELP.match(text):
        return HELP
    if _THANKS.match(text):
        return THANKS
    told = _ILLNESS.search(text) and _WHAT_IS_IT.search(text)
    return DECLINED_DIAGNOSIS if told else DECLINED


def note(question: Question, kinds: Sequence[str], page: pages.Page) -> str:
    """What must be said beside the sentences quoted from `page`, "" for nothing."""
    stops = STOPPING.search(question.text) or _CHANGING.search(question.text)
    if stops and (page.medicine or _TAKING.search(question.text)):
        return NO_STOPPING
    people = sorted(question.people)
    if "dose" in kinds and page.medicine:
        return next((ASK_DOSE[who] for who in people if who in ASK_DOSE), "")
    if "care" in kinds and people and _TAKING.search(question.text):
        return ASK_TAKE.format(people=" or ".join(PEOPLE[who] for who in people))
    return ""
