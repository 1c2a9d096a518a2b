"""What the gate understands: denial, time, people, numbers, slips, turns and places."""

import time

import pytest

from assistant import safety
from assistant.safety import gate, numerals, tokens
from assistant.safety.verdict import Level
from assistant.turns import Turn

DANGER = {Level.EMERGENCY, Level.CRISIS}


def level(text: str) -> Level:
    return safety.assess(text).level


@pytest.mark.parametrize(
    "text",
    [
        "no chest pain",
        "I don't have any chest pain",
        "denies chest pain, shortness of breath, or syncope",
        "No fever, chest pain or trouble breathing",
        "chest pain: none",
        "the chest pain went away years ago",
        "I had a seizure when I was a child",
        "history of stroke in 2011",
        "what are the signs of a stroke?",
        "What should I do if someone is having a seizure?",
        "can anxiety cause chest pain?",
        "in my novel the hero collapses. He is not breathing.",
        "for my exam: crushing chest pain and sweating",
        "I'm not suicidal",
        "my husband never hits me",
        "",
        "?!",
    ],
)
def test_what_is_denied_past_asked_or_told_is_no_danger(text: str) -> None:
    assert level(text) not in DANGER


@pytest.mark.parametrize(
    "text",
    [
        "no fever but crushing chest pain",
        "I'm not sure if it is chest pain, it is a crushing pressure in my chest",
        "chest pain years ago and now it is back again, chest pain",
        "What are the signs of a stroke? My dad's face is drooping and his speech is slurred",
        "I was watching a film and now I have crushing chest pain",
        "not only chest pain but I'm sweating too",
        "it's probably nothing but I have crushing chest pain",
        "my wife says it is just gas, my chest feels tight and my arm aches",
        "never had chest pain like this before",
        "he wont stop bleeding from the cut on his leg",
        "I cant breathe",
        "cantbreathe",
        "MY DAD IS NOT BREATHING!!!",
    ],
)
def test_a_present_danger_is_heard_through_it_all(text: str) -> None:
    assert level(text) is Level.EMERGENCY


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("thirty nine point five", 39.5),
        ("39.5", 39.5),
        ("39,5", 39.5),
        ("1,000", 1000),
        ("a hundred and four", 104),
        ("one oh four", 104),
        ("one hundred and three point two", 103.2),
        ("twenty five", 25),
        ("a dozen", 12),
    ],
)
def test_numbers_are_read_in_digits_and_words(text: str, value: float) -> None:
    assert [number.value for number in numerals.find(tokens.cut(text))] == [value]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("my 2 month old has a fever of 38.3", Level.EMERGENCY),
        ("my two month old has a fever of one hundred and one", Level.EMERGENCY),
        ("my 6 year old has a fever of 38.3 and is playing", Level.ROUTINE),
        ("oxygen 84", Level.EMERGENCY),
        ("oxygen 98", Level.NONE),
        ("I took 30 paracetamol", Level.EMERGENCY),
        ("I took 2 paracetamol", Level.NONE),
        ("my blood sugar is 2.1 and I'm confused", Level.EMERGENCY),
        ("my glucose is 5.4", Level.NONE),
    ],
)
def test_numbers_decide(text: str, wanted: Level) -> None:
    assert level(text) is wanted


def test_turns_add_up() -> None:
    history = [Turn("user", "I took a lot of pills"), Turn("assistant", "Which ones?")]
    verdict = safety.assess("paracetamol, about thirty", history)
    assert verdict.level is Level.EMERGENCY
    assert safety.assess("ok thanks", history).level is Level.NONE


def test_the_age_may_have_been_said_before() -> None:
    history = [Turn("user", "My baby is six weeks old"), Turn("assistant", "What is wrong?")]
    assert safety.assess("he has a temperature of 38.5", history).level is Level.EMERGENCY


def test_yes_to_a_question_counts_as_said() -> None:
    asked = [Turn("user", "I feel low"), Turn("assistant", "Are you thinking of killing yourself?")]
    assert safety.assess("yes", asked).level is Level.CRISIS
    assert safety.assess("no", asked).level is Level.NONE


@pytest.mark.parametrize(
    ("locale", "number", "line"),
    [
        ("en-GB", "999", "116 123"),
        ("en-US", "911", "988"),
        ("en_CA", "911", "988"),
        ("en-AU", "000", "13 11 14"),
        ("en-NZ", "111", "1737"),
        ("en-IE", "112", "116 123"),
        ("en-IN", "112", "14416"),
        ("de-DE", "112", "findahelpline.com"),
        ("zz", "112", "findahelpline.com"),
    ],
)
def test_a_crisis_names_the_line_and_the_number_of_the_place(
    locale: str, number: str, line: str
) -> None:
    verdict = safety.assess("I want to kill myself", locale=locale)
    assert verdict.level is Level.CRISIS
    assert verdict.message is not None
    assert number in verdict.message
    assert line in verdict.message
    assert any(number in one.number for one in verdict.resources)
    assert any(line == one.number for one in verdict.resources)


def test_an_overdose_with_intent_is_an_emergency_with_the_crisis_line() -> None:
    verdict = safety.assess("I took 30 paracetamol because I want to die")
    assert verdict.level is Level.EMERGENCY
    assert {"poison.overdose", "crisis.suicide"} <= {one.id for one in verdict.rules}
    assert any(one.number == "116 123" for one in verdict.resources)


def test_naming_a_method_never_lowers() -> None:
    bare = level("I want to kill myself")
    for method in ("with a rope", "with pills", "by jumping", "with a knife", "tonight"):
        assert level(f"I want to kill myself {method}").rank <= bare.rank


def test_offsets_count_code_points_of_the_original() -> None:
    text = "😀 Ça va… I’m having crushing chest pain"
    verdict = safety.assess(text)
    words = {text[span.start : span.end] for one in verdict.rules for span in one.spans}
    assert {"crushing chest", "chest pain"} <= words


def test_an_error_in_the_gate_counts_as_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(gate.Gate, "assess", broken)
    verdict = safety.assess("hello", locale="en-US")
    assert verdict.level is Level.URGENT
    assert verdict.message is not None
    assert "911" in verdict.message


@pytest.mark.parametrize(
    "piece",
    ["no ", "years ago ", "what is ", "if ", "chest pain ", "a", "xq zv ", "39.5 ", ",", "1,", ". ",
     "not chest pain and ", "kill myself ", "haert brething ", "cantbreathe", "\u200b", "é", "'a"],
)  # fmt: skip
def test_hostile_texts_stay_cheap(piece: str) -> None:
    text = (piece * 8000)[:8000]
    safety.assess(text)
    assert min(work_of(text) for _ in range(3)) < 0.2


def work_of(text: str) -> float:
    """Seconds of this thread's work; what the machine does besides is not counted."""
    started = time.thread_time()
    safety.assess(text)
    return time.thread_time() - started


def test_the_same_words_give_the_same_verdict() -> None:
    text = "crushing chest pain going down my left arm, took thirty paracetamol, want to die"
    assert gate.open_gate().assess(text) == gate.open_gate().assess(text)


def test_a_form_of_a_word_can_be_meant_alone() -> None:
    assert level("I take all my tablets in the morning") not in DANGER
    assert level("I took all my tablets") is Level.EMERGENCY
    assert level("I swalowed all my tablets") is Level.EMERGENCY


@pytest.mark.parametrize(
    "text",
    [
        "I took paracetamol at ten",
        "I took paracetamol at ten thirty",
        "I am thirty and take ibuprofen",
        "I take ibuprofen, my wife is eighty",
        "I took twenty milligrams of citalopram",
        "I took ibuprofen every eight to ten hours",
        "I took paracetamol on the 12th",
    ],
)
def test_an_hour_an_age_or_a_strength_is_no_count_of_tablets(text: str) -> None:
    assert level(text) not in DANGER


@pytest.mark.parametrize(
    "text",
    [
        "I am thirty and took thirty ibuprofen",
        "I took at least thirty paracetamol",
        "I took paracetamol, about forty of them",
        "I injected two hundred units of insulin",
    ],
)
def test_a_count_beside_an_hour_or_an_age_is_still_one(text: str) -> None:
    assert level(text) is Level.EMERGENCY


@pytest.mark.parametrize(
    "text",
    [
        "I took all my tablets in the morning by mistake and again at noon",
        "my nan takes twelve tablets a day but today she took thirty",
        "I injected fifty units of insulin instead of five",
        "I accidentally gave my baby two doses of calpol",
        "my three year old took my contraceptive pills",
        "she's swallowing pills, a whole lot of them",
    ],
)
def test_what_is_taken_by_mistake_stays_an_emergency_beside_what_is_prescribed(text: str) -> None:
    assert level(text) is Level.EMERGENCY


@pytest.mark.parametrize(
    "text",
    ["I took three days of my tablets in one go", "she took a week of her tablets all in one go"],
)
def test_a_part_may_stand_in_the_gap_of_another(text: str) -> None:
    assert level(text) is Level.EMERGENCY
