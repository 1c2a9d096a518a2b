"""What is only a figure of speech, an animal, long over, broken off or said some turns ago."""

import pytest

from assistant import safety
from assistant.safety.verdict import Level
from assistant.turns import Turn

RAISED = {Level.EMERGENCY, Level.CRISIS}


def fired(text: str) -> set[str]:
    return {one.id for one in safety.assess(text).rules}


@pytest.mark.parametrize(
    "text",
    [
        "shoot me an email",
        "I'm drowning in paperwork",
        "he stabbed me in the back at work",
        "my boss will kill me if I miss the deadline",
        "my favourite band is called Suicidal Tendencies",
        "I can't carry on with these tablets",
    ],
)
def test_a_figure_of_speech_is_not_meant(text: str) -> None:
    assert safety.assess(text).level not in RAISED


@pytest.mark.parametrize(
    "text",
    [
        "this homework makes me want to die lol, no honestly I want to kill myself",
        "my legs are killing me and now I have crushing chest pain",
        "haha my phone died, anyway I have taken 30 paracetamol",
        "i wanna end it all lol but not even joking",
    ],
)
def test_a_figure_of_speech_hides_nothing_beside_it(text: str) -> None:
    assert safety.assess(text).level in RAISED


@pytest.mark.parametrize(
    "text",
    [
        "my dog is having a seizure",
        "The puppy swallowed a battery. He can't breathe and is vomiting blood",
        "our cat was hit by a car and is bleeding",
    ],
)
def test_an_ill_animal_is_for_the_vet(text: str) -> None:
    verdict = safety.assess(text)
    assert verdict.level is Level.ROUTINE
    assert verdict.message is not None
    assert "vet" in verdict.message


@pytest.mark.parametrize(
    "text",
    [
        "I was walking my dog when I got crushing chest pain",
        "walking the dog, crushing chest pain since then",
        "my dog has died and I want to die too",
        "my dog is fine. My daughter is having a seizure",
        "my dog has knocked my son over and he is unconscious",
        "my right calf is swollen and I am short of breath",
    ],
)
def test_an_animal_hides_no_person(text: str) -> None:
    assert safety.assess(text).level in RAISED


@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ("I was suicidal twenty years ago, I am happy now", False),
        ("my brother took his own life in 2009", False),
        ("I used to self-harm as a teenager, can the scars be covered?", False),
        ("I was suicidal years ago and today I want to kill myself", True),
        ("I tried to kill myself last year", True),
    ],
)
def test_what_is_long_over_is_no_crisis_and_what_may_return_is(text: str, raised: bool) -> None:
    assert (safety.assess(text).level is Level.CRISIS) is raised


def test_a_denial_that_is_broken_off_denies_nothing_before_it() -> None:
    assert safety.assess("sudden cold painful leg with no pulse and no").level is Level.EMERGENCY
    assert safety.assess("3-week-old with projectile vomiting and no").level is Level.EMERGENCY
    assert safety.assess("chest pain: no").level is Level.NONE


def test_every_beginning_of_an_emergency_stays_silent_until_the_words_are_there() -> None:
    text = "hello I wanted to ask about my dad he was in the kitchen just now and he is"
    for count in range(1, len(text)):
        assert safety.assess(text[:count]).level not in RAISED
    assert safety.assess(f"{text} not breathing").level is Level.EMERGENCY


def test_a_part_may_begin_with_a_small_word() -> None:
    assert "poison.overdose" in fired("I took too many of my blood pressure pills by accident")
    assert "crisis.violence-planned" in fired("I've got a knife in my bag for him")


def test_the_second_reading_of_a_turn_is_that_of_the_first() -> None:
    history = [Turn("user", "I have a fever of 39"), Turn("assistant", "What else?")]
    first = safety.assess("my neck is stiff and light hurts my eyes", history)
    again = safety.assess("my neck is stiff and light hurts my eyes", history)
    assert first == again
    assert first.level is Level.EMERGENCY
    assert safety.assess("thanks", history).level not in RAISED


@pytest.mark.parametrize(
    "before",
    [
        "What helps against a cold",
        "I have a cough and a cold",
        "I pulled a muscle at the gym",
        "ok",
    ],
)
def test_what_was_said_before_never_lowers_a_level(before: str) -> None:
    history = [Turn("user", before), Turn("assistant", "Rest and drink plenty of water.")]
    assert safety.assess("I have chest pain", history).level is Level.EMERGENCY
