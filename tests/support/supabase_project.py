"""Projects of Supabase to test with: the one on the loopback, and a real one where one is named.

`MEDBOT_TEST_SUPABASE` names a JSON file with `url, anon_key, service_key, jwt_secret, service_url`
(the services' login in the project's database, which is migrated) and `smtp_port`, to which the
real server sends its mails. It is for runs by hand: its addresses need no confirmation.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from supabase_server import Project

from auth_service.mails.testing import PostOffice

REAL = os.environ.get("MEDBOT_TEST_SUPABASE")


class Linked(Protocol):
    """Where the tokens of mailed links come to light."""

    async def link(self, kind: str) -> str:
        """The token of the newest mail of a kind, `signup` or `recovery`."""


@dataclass(frozen=True)
class Loopback:
    """The project of the tests."""

    project: Project

    async def link(self, kind: str) -> str:
        return self.project.link(kind)


@dataclass(frozen=True)
class Real:
    """A real project; what it mails arrives at `office`."""

    said: dict[str, Any]
    office: PostOffice

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "supabase_url": self.said["url"],
            "supabase_key": self.said["anon_key"],
            "supabase_service_role_key": self.said["service_key"],
            "supabase_jwt_secret": self.said["jwt_secret"],
        }

    async def link(self, kind: str) -> str:
        body = (await self.office.mail()).get_body(("html", "plain"))
        assert body is not None
        found = re.search(r"token=([0-9a-z_]+)&", body.get_content())
        assert found is not None
        return found[1]


def real(office: PostOffice) -> Real:
    """The project that the environment names."""
    assert REAL is not None
    said = json.loads(Path(REAL).read_text())
    office.port = said["smtp_port"]
    return Real(said, office)
