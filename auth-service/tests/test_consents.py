"""Consents: rows with time and wording, under a profile that shows what stands."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auth_service.consents import actions, wordings
from auth_service.consents.models import Decision, UnknownConsent
from auth_service.testing import Auth, Member

PROFILE = "/api/v1/profile"
PATH = "/api/v1/profile/consents"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TEXTS = wordings.load()
VERSION = TEXTS.current("research", None).version


async def history(auth: Auth, member: Member) -> list[tuple[str, bool | None]]:
    answer = await auth.get(PATH, member.access)
    assert answer.status_code == 200, answer.text
    return [(row["name"], row["given"]) for row in answer.json()["history"]]


async def test_every_decision_is_kept_with_its_time_and_wording(auth: Auth, alice: Member) -> None:
    for given in ({"research": True}, {"research": True}, {"research": False}, {}, None):
        auth.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
        answer = await auth.put(PROFILE, alice.access, {"consents": given})
        assert answer.json()["consents"] == (given or {})
        assert (await auth.get(PROFILE, alice.access)).json() == answer.json()
    rows = (await auth.get(PATH, alice.access)).json()["history"]
    assert [(row["given"], row["decided_at"]) for row in rows] == [
        (None, "2030-01-01T12:04:00Z"),
        (False, "2030-01-01T12:03:00Z"),
        (True, "2030-01-01T12:01:00Z"),
    ]
    assert {(row["wording"], row["locale"]) for row in rows} == {(VERSION, "en")}


async def test_what_is_not_sent_stays_and_what_is_left_out_is_taken_back(
    auth: Auth, alice: Member
) -> None:
    await auth.put(PROFILE, alice.access, {"consents": {"research": True, "terms": True}})
    kept = await auth.put(PROFILE, alice.access, {"locale": "en-GB"})
    assert kept.json()["consents"] == {"research": True, "terms": True}
    left = await auth.put(PROFILE, alice.access, {"consents": {"terms": True}})
    assert left.json()["consents"] == {"terms": True}
    assert await history(auth, alice) == [("research", None), ("terms", True), ("research", True)]


async def test_a_consent_that_nobody_is_asked_for_is_refused_and_nothing_changes(
    auth: Auth, alice: Member
) -> None:
    wanted = {"consents": {"terms": True, "selling_my_data": True}, "locale": "en-GB"}
    answer = await auth.put(PROFILE, alice.access, wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "profile.unknown_consent")
    assert "selling" not in answer.text
    profile = (await auth.get(PROFILE, alice.access)).json()
    assert (profile["consents"], profile["locale"]) == ({}, None)


async def test_the_wordings_of_today_can_be_read(auth: Auth, alice: Member, bob: Member) -> None:
    await auth.put(PROFILE, bob.access, {"consents": {"terms": True}})
    shown = (await auth.get(PATH, alice.access)).json()
    assert {each["name"] for each in shown["wordings"]} >= {
        "terms", "privacy", "voice_recording", "research",
    }  # fmt: skip
    assert all(each["text"].strip() for each in shown["wordings"])
    assert shown["history"] == []


def decision(name: str, given: bool, wording: str) -> Decision:
    return Decision(name=name, given=given, wording=wording, locale="en", decided_at=NOW)


def test_a_newer_wording_is_consented_to_anew() -> None:
    before = {"terms": decision("terms", True, "2020-01-01")}
    changed = actions.changes(before, {"terms": True}, TEXTS, locale=None, now=NOW)
    assert [(each.name, each.given, each.wording) for each in changed] == [
        ("terms", True, TEXTS.current("terms", None).version)
    ]
    standing = {"terms": changed[0]}
    assert actions.changes(standing, {"terms": True}, TEXTS, locale=None, now=NOW) == []


def test_an_answer_to_what_is_asked_no_more_may_stay_or_go_but_not_change() -> None:
    before = {"newsletter": decision("newsletter", True, "unversioned")}
    sent_back = {"newsletter": True, "terms": True}
    changed = actions.changes(before, sent_back, TEXTS, locale=None, now=NOW)
    assert [each.name for each in changed] == ["terms"]
    with pytest.raises(UnknownConsent):
        actions.changes(before, {"newsletter": False}, TEXTS, locale=None, now=NOW)
    (gone,) = actions.changes(before, {}, TEXTS, locale=None, now=NOW)
    assert (gone.name, gone.given, gone.wording) == ("newsletter", None, "unversioned")


FILES: dict[str, Any] = {
    "terms/2026-01-01.en.md": "old",
    "terms/2026-02-01.en.md": "new",
    "terms/2026-02-01.cy.md": "newydd",
    "terms/2026-02-01.pt-BR.md": "novo",
}


@pytest.mark.parametrize(
    ("locale", "text"),
    [(None, "new"), ("en-GB", "new"), ("cy-GB", "newydd"), ("pt-BR", "novo"), ("fr", "new")],
)
def test_the_latest_wording_in_ones_own_language(
    tmp_path: Path, locale: str | None, text: str
) -> None:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert wordings.load(tmp_path).current("terms", locale).text == text


def test_a_wording_without_its_english_is_refused(tmp_path: Path) -> None:
    (tmp_path / "terms").mkdir()
    (tmp_path / "terms" / "2026-01-01.cy.md").write_text("hen")
    with pytest.raises(ValueError, match="terms"):
        wordings.load(tmp_path)
    with pytest.raises(UnknownConsent):
        TEXTS.current("nothing", None)
