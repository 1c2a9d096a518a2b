"""Profiles: what may be written, by whom, and what stays."""

from typing import Any

from auth_service.testing import Auth, Member

PATH = "/api/v1/profile"
WHOLE = {
    "full_name": "Alice B. Example",
    "phone": "+442071234567",
    "date_of_birth": "1984-02-29",
    "locale": "en-GB",
    "time_zone": "Europe/London",
    "consents": {"voice_recording": True, "research": False},
}


async def test_a_profile_is_written_and_read(auth: Auth, alice: Member) -> None:
    before = (await auth.get(PATH, alice.access)).json()
    assert before == {
        "full_name": "Alice Example", "phone": None, "date_of_birth": None, "locale": None,
        "time_zone": None, "consents": {}, "updated_at": "2030-01-01T12:00:00Z",
    }  # fmt: skip
    auth.context.clock.advance(minutes=1)  # type: ignore[attr-defined]
    answer = await auth.put(PATH, alice.access, WHOLE)
    assert answer.status_code == 200
    assert answer.json() == {**WHOLE, "updated_at": "2030-01-01T12:01:00Z"}
    assert (await auth.get(PATH, alice.access)).json() == answer.json()
    me = (await auth.get("/api/v1/auth/me", alice.access)).json()
    assert me["full_name"] == "Alice B. Example"


async def test_fields_that_are_not_sent_stay_and_null_clears(auth: Auth, alice: Member) -> None:
    await auth.put(PATH, alice.access, WHOLE)
    changed = await auth.put(PATH, alice.access, {"phone": None, "locale": "cy_gb"})
    assert changed.json() | {"updated_at": ""} == WHOLE | {
        "phone": None, "locale": "cy-GB", "updated_at": "",
    }  # fmt: skip
    withdrawn = await auth.put(PATH, alice.access, {"consents": {}, "full_name": "  "})
    assert withdrawn.json()["consents"] == {}
    assert withdrawn.json()["full_name"] is None


WRONG: list[tuple[str, Any]] = [
    ("phone", "020 7123 4567"), ("phone", "+0123456789"), ("phone", "+12345"),
    ("phone", "+1234567890123456"), ("phone", "+44207123456٣"), ("phone", "+442071234567\n"),
    ("date_of_birth", "1899-12-31"), ("date_of_birth", "2023-02-29"),
    ("date_of_birth", "29/02/1984"), ("locale", "english"), ("locale", "en-GB-oed-x"),
    ("locale", "en-GB\n"), ("full_name", "x" * 201), ("full_name", "a\nb"),
    ("full_name", "a\u0000b"), ("consents", {"voice_recording": "yes"}),
    ("consents", {"voice_recording": 1}), ("consents", {"Voice Recording": True}),
    ("consents", {f"c{n}": True for n in range(51)}), ("consents", ["voice_recording"]),
    ("roles", ["admin"]), ("user_id", "7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01"),
]  # fmt: skip


async def test_a_wrong_field_is_named_and_nothing_changes(auth: Auth, alice: Member) -> None:
    await auth.put(PATH, alice.access, WHOLE)
    for field, value in WRONG:
        answer = await auth.put(PATH, alice.access, {"time_zone": "Asia/Tokyo", field: value})
        case = (field, value)
        assert (*case, answer.status_code, answer.json()["code"]) == (*case, 422, "request.invalid")
        named = field if field in WHOLE else "body"  # an unknown key is the sender's word
        assert answer.json()["errors"][0]["field"].startswith(named)
    after = (await auth.get(PATH, alice.access)).json()
    assert after == {**WHOLE, "updated_at": "2030-01-01T12:00:00Z"}


IMPOSSIBLE = [
    ("date_of_birth", "2030-01-03", "profile.birth_in_future"),
    ("time_zone", "Europe/Atlantis", "profile.unknown_time_zone"),
    ("time_zone", "../../etc/passwd", "profile.unknown_time_zone"),
]


async def test_what_cannot_be_so_is_refused(auth: Auth, alice: Member) -> None:
    for field, value, code in IMPOSSIBLE:
        answer = await auth.put(PATH, alice.access, {field: value})
        assert (value, answer.status_code, answer.json()["code"]) == (value, 422, code)


async def test_people_write_their_own_profile_alone(auth: Auth, alice: Member, bob: Member) -> None:
    await auth.put(PATH, alice.access, WHOLE)
    assert (await auth.get(PATH, bob.access)).json()["phone"] is None
    await auth.put(PATH, bob.access, {"full_name": "Bob"})
    assert (await auth.get(PATH, alice.access)).json()["full_name"] == "Alice B. Example"
