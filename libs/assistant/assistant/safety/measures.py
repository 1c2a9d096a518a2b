"""Reads ages, temperatures, doses and vital signs, and names what is out of the ordinary.

The names given here are concepts like those of the lexicon; `NAMES` lists them all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assistant.safety import numerals
from assistant.safety.tokens import Kind, Token

_DAYS = {"day": 1.0, "days": 1.0, "week": 7.0, "weeks": 7.0, "wk": 7.0, "wks": 7.0}
_DAYS |= {"month": 30.4, "months": 30.4, "mo": 30.4, "mth": 30.4, "mths": 30.4, "mos": 30.4}
_DAYS |= dict.fromkeys(("year", "years", "yr", "yrs", "yo", "y/o", "y"), 365.25)
_MINUTES = {"minute": 1.0, "minutes": 1.0, "min": 1.0, "mins": 1.0, "hour": 60.0, "hours": 60.0}
_CHILD_WORDS = {"baby", "infant", "newborn", "boy", "girl", "son", "daughter", "old", "m", "f"}
_CHILD_WORDS |= {"male", "female", "toddler", "grandson", "granddaughter", "neonate", "olds"}
_PEOPLE = {"man", "woman", "gentleman", "lady", "male", "female", "m", "f", "old"}
_AGE_BEFORE = {"aged", "age", "im", "am", "turned"}
_TEMPERATURE = {"temp", "temperature", "fever", "t", "temps", "febrile", "tmax", "thermometer"}
_TEMPERATURE |= {"degrees", "degree", "celsius", "fahrenheit", "c", "f", "°", "tempature"}
_OXYGEN = {
    "spo2",
    "o2",
    "sat",
    "sats",
    "saturation",
    "oxygen",
    "satting",
    "saturations",
    "oximeter",
}
_SUGAR = {"glucose", "sugar", "sugars", "bg", "bm", "bgl", "cbg", "mmol", "bsl", "fsbs"}
_NO_READING = {"g", "gram", "grams", "ml", "%", "percent", "kcal", "calories", "year", "years"}
_NO_READING |= {"days", "weeks", "months", "minutes", "hours", "units", "teaspoons", "spoons"}
_PULSE = {"beating", "heart", "hr", "pulse", "bpm", "heartbeat", "heartrate", "beats", "p"}
_BREATHS = {"rr", "breathing", "respirations", "resps", "respiratory", "breaths"}
_PRESSURE = {"bp", "pressure", "systolic", "sbp"}
_UNITS_OF_TIME = (
    _DAYS.keys()
    | _MINUTES.keys()
    | {
        "am",
        "pm",
        "oclock",
        "mg",
        "ml",
        "times",
        "hr",
        "hrs",
        "hourly",
        "h",
    }
)
_MILLIGRAMS = {"mg", "mgs", "milligram", "milligrams"}
_GRAMS = {"g", "gram", "grams"}
_UNITS = {"unit", "units", "iu"}
_SMALL_DOSES = {"mcg", "mcgs", "ug", "microgram", "micrograms", "ml", "mls", "millilitre"}
_SMALL_DOSES |= {"millilitres", "milliliter", "milliliters"}
_NO_COUNT = _UNITS_OF_TIME | _MILLIGRAMS | _GRAMS | _UNITS | _SMALL_DOSES
_NO_COUNT |= {"°", "c", "f", "/", "%", "percent", "kg", "kilo", "kilos", "stone", "pounds", "euros"}
_NO_COUNT |= {
    "dollars",
    "people",
    "km",
    "miles",
    "steps",
    "st",
    "nd",
    "rd",
    "th",
    "degrees",
    "year",
}
_CLAUSE_BEGINS = {"and", "or", "but", "so", "i", "my", "now", "who", "with", "then", "when", "can"}
_CLAUSE_BEGINS |= {",", "take", "takes", "took", "taking", "on", "should", "is", "for", "in"}
_AGE_STATED = _AGE_BEFORE | {"is", "newborn", "hes", "shes"}
_SINCE = {"post", "postpartum", "late", "overdue", "gone", "into", "since", "after", "sober"}
_AGE_IS = _AGE_BEFORE | {"is", "was", "hes", "shes", "until", "till", "by"}
_HOURS = frozenset(numerals.WORDS | {str(hour) for hour in range(25)})
_PREGNANT = {
    "g1",
    "g2",
    "g3",
    "g4",
    "p0",
    "p1",
    "p2",
    "p3",
    "pregnant",
    "gestation",
    "gestational",
    "pregnancy",
    "antenatal",
    "gravid",
    "along",
}
_SPAN_WORDS = {"for", "past", "last", "over", "about", "since", "x", "nearly", "almost", "of"}
_SPAN_WORDS |= {"every", "in", "within", "after"}
WORDS = frozenset(_DAYS.keys() | _TEMPERATURE | _OXYGEN | _SUGAR | _PULSE | _BREATHS | _PREGNANT)
_WEEKS = {"weeks": 1.0, "week": 1.0, "wks": 1.0, "wk": 1.0, "w": 1.0}
_MONTHS = {"months", "month", "mths"}
_AGES = (("old",), ("ago",), ("history",))
_DISTANCE = {"feet": 0.3, "ft": 0.3, "foot": 0.3, "metres": 1.0, "meters": 1.0, "metre": 1.0}
_DISTANCE |= {"m": 1.0, "meter": 1.0, "stories": 3.0, "storeys": 3.0, "floors": 3.0, "steps": 0.2}

NAMES = frozenset(
    {
        "age_under_month", "age_under_3_months", "age_under_6_months", "age_under_year",
        "age_child", "age_over_40", "age_over_60", "fever_38", "fever_39", "fever_40",
        "cold_body", "oxygen_low", "oxygen_lowish", "sugar_low", "sugar_high", "sugar_raised",
        "pulse_fast",
        "pulse_slow", "breaths_fast", "pressure_low", "pressure_high", "many_doses", "daily_doses",
        "pressure_raised",
        "pregnant_early", "pregnant_late", "lasts_long", "lasts_days", "over_five_minutes",
        "from_height", "coma_score",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measure:
    """A named finding and the tokens of its number."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A number with the words before it (nearest last) and after it (nearest first)."""

    value: float
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def next(self) -> str:
        return self.after[0] if self.after else ""

    def near(self, words: set[str], *, back: int = 4, on: int = 2) -> bool:
        return not words.isdisjoint(self.before[-back:]) or not words.isdisjoint(self.after[:on])


def find(tokens: Sequence[Token]) -> list[Measure]:
    """Returns the findings of all numbers in `tokens`, in order."""
    found: list[Measure] = []
    for number in numerals.find(tokens):
        place = _place(tokens, number)
        nearby = {*place.before, *place.after}
        names = [*_doses(place)]
        for reader, words in _READERS:
            if not words.isdisjoint(nearby):
                names.extend(reader(place))
        found.extend(Measure(name, number.first, number.last) for name in names)
    return found


def _place(tokens: Sequence[Token], number: numerals.Number) -> _Place:
    before = _same_sentence(reversed(tokens[max(0, number.first - 6) : number.first]))
    after = _same_sentence(iter(tokens[number.last + 1 : number.last + 7]))
    return _Place(number.value, tuple(reversed(before)), tuple(after))


def _same_sentence(tokens: Iterator[Token]) -> list[str]:
    words: list[str] = []
    for token in tokens:
        if token.kind is Kind.STOP and token.word != ".":
            break
        words.append(token.word)
    return words


def _age(place: _Place) -> Iterator[str]:
    days = _age_in_days(place)
    if days is None or not _PREGNANT.isdisjoint(place.after[1:3]) or days > 130 * 365.25:
        return
    for name, limit in (
        ("age_under_month", 29.0), ("age_under_3_months", 91.0), ("age_under_6_months", 182.0),
        ("age_under_year", 365.0), ("age_child", 16 * 365.0),
    ):  # fmt: skip
        if days <= limit:
            yield name
    if days >= 40 * 365:
        yield "age_over_40"
    if days >= 60 * 365:
        yield "age_over_60"


def _age_in_days(place: _Place) -> float | None:
    unit = _DAYS.get(place.next)
    if unit is not None:
        rest = place.after[1:3]
        spoken_of = not _CHILD_WORDS.isdisjoint(rest) or place.next in ("yo", "y/o", "y")
        aged = bool(place.before) and place.before[-1] in _AGE_STATED
        aged = aged and "for" not in place.before and _SINCE.isdisjoint(rest)
        return place.value * unit if spoken_of or aged else None
    if 16 <= place.value <= 110 and place.next in _PEOPLE and place.value == int(place.value):
        return place.value * 365.25
    if place.before and place.before[-1] in _AGE_BEFORE and place.next not in _UNITS_OF_TIME:
        return place.value * 365.25
    return None


def _temperature(place: _Place) -> Iterator[str]:
    if not place.near(_TEMPERATURE, back=5, on=2):
        return
    value = place.value
    if 90 <= value <= 110 and place.next not in ("c", "celsius"):
        value = (value - 32) / 1.8
    if not 25 <= value <= 44 or (value < 35.5 and place.next in ("f", "m", "year", "years", "yo")):
        return
    for name, limit in (("fever_38", 37.95), ("fever_39", 38.95), ("fever_40", 39.95)):
        if value >= limit:
            yield name
    if value <= 35:
        yield "cold_body"


def _oxygen(place: _Place) -> Iterator[str]:
    if 50 <= place.value <= 93 and place.near(_OXYGEN, back=6, on=3):
        yield "oxygen_lowish"
        if place.value <= 92:
            yield "oxygen_low"


def _sugar(place: _Place) -> Iterator[str]:
    if not (place.near(_SUGAR, back=5, on=2) or place.after[:3] == ("mg", "/", "dl")):
        return
    in_mmol = place.value <= 35
    low, raised, high = (3.0, 15.0, 20.0) if in_mmol else (54.0, 270.0, 330.0)
    if 0 < place.value <= low or (not in_mmol and place.value <= low):
        yield "sugar_low"
    elif high <= place.value <= 1500:
        yield "sugar_high"
    elif raised <= place.value < high and place.next not in _NO_READING:
        yield "sugar_raised"


def _systolic(value: float) -> Iterator[str]:
    if 40 <= value < 90:
        yield "pressure_low"
    elif 160 <= value <= 300:
        yield "pressure_raised"
        if value >= 180:
            yield "pressure_high"


def _circulation(place: _Place) -> Iterator[str]:
    is_upper = place.next in ("/", "over") and len(place.after) > 1 and place.after[1].isdigit()
    if is_upper and not 20 < float(place.after[1]) < 200:
        return
    if (is_upper and 50 <= place.value <= 300) or place.near(_PRESSURE, back=3, on=0):
        yield from _systolic(place.value)
        return
    if place.near(_PULSE, back=5, on=1) and place.next not in _NO_COUNT:
        if 130 <= place.value <= 300:
            yield "pulse_fast"
        elif 15 <= place.value <= 40:
            yield "pulse_slow"


def _breaths(place: _Place) -> Iterator[str]:
    is_rate = place.next not in _UNITS_OF_TIME
    if is_rate and 25 <= place.value <= 100 and place.near(_BREATHS, back=2, on=1):
        yield "breaths_fast"
    if 3 <= place.value <= 12 and "gcs" in place.before[-3:]:
        yield "coma_score"


def _doses(place: _Place) -> Iterator[str]:
    is_mass = place.next in _MILLIGRAMS and place.value >= 5000
    is_grams = place.next in _GRAMS and 5 <= place.value <= 200
    is_units = place.next in _UNITS and 100 <= place.value <= 1000
    is_count = 8 <= place.value <= 1000 and not _counts_other_things(place)
    if is_mass or is_grams or is_units or is_count:
        yield "many_doses"
    if is_count and place.value <= 24:
        yield "daily_doses"


def _counts_other_things(place: _Place) -> bool:
    """Whether it is a strength, a span, an hour or an age rather than a count of tablets."""
    is_range = place.next in ("to", "or") and place.after[2:3] != () and place.after[2] in _NO_COUNT
    if is_range or place.next in _NO_COUNT:
        return True
    before = place.before[-2:]
    is_hour = before[-1:] == ("at",) or (before[:1] == ("at",) and before[1] in _HOURS)
    if is_hour and place.next in _HOURS:
        return True
    if place.next and place.next not in _CLAUSE_BEGINS:
        return False
    return is_hour or not _AGE_IS.isdisjoint(before[-1:])


def _pregnancy(place: _Place) -> Iterator[str]:
    unit = 4.35 if place.next in _MONTHS else _WEEKS.get(place.next, 0.0)
    nearby = {*place.after[1:4], *place.before[-4:]}
    is_stage = (
        20 <= place.value <= 42
        and unit == 1.0
        and not _is_span(place)
        and place.after[1:2] not in _AGES
    )
    if unit and place.value <= 43 and (is_stage or not _PREGNANT.isdisjoint(nearby)):
        yield "pregnant_late" if place.value * unit >= 20 else "pregnant_early"


def _duration(place: _Place) -> Iterator[str]:
    days = _DAYS.get(place.next)
    if days is not None and _is_span(place):
        if days * place.value >= 13:
            yield "lasts_long"
        if days * place.value >= 2:
            yield "lasts_days"
    if _MINUTES.get(place.next, 0.0) * place.value >= 5 and "ago" not in place.after[:2]:
        yield "over_five_minutes"


def _is_span(place: _Place) -> bool:
    after = {"history", "hx", "now"}
    return not (_SPAN_WORDS.isdisjoint(place.before[-2:]) and after.isdisjoint(place.after[1:3]))


def _height(place: _Place) -> Iterator[str]:
    if place.value * _DISTANCE.get(place.next, 0.0) >= 1.5:
        yield "from_height"


# Each reader with the words of which one must be near; without them it has nothing to say.
_READERS: tuple[tuple[Callable[[_Place], Iterator[str]], frozenset[str]], ...] = (
    (_age, frozenset(_DAYS.keys() | _PEOPLE | _AGE_BEFORE)),
    (_temperature, frozenset(_TEMPERATURE)),
    (_oxygen, frozenset(_OXYGEN)),
    (_sugar, frozenset(_SUGAR | {"dl"})),
    (_circulation, frozenset(_PULSE | _PRESSURE | {"/", "over"})),
    (_breaths, frozenset(_BREATHS | {"gcs"})),
    (_pregnancy, frozenset(_WEEKS.keys() | _MONTHS)),
    (_duration, frozenset(_DAYS.keys() | _MINUTES.keys())),
    (_height, frozenset(_DISTANCE)),
)
