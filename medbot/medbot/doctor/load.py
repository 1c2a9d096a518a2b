"""Checks of what many callers need, and of what an end without cuts needs."""

import resource
from collections.abc import Iterator

from api_gateway.settings import Settings
from medbot.doctor.findings import Finding, good, note

EACH = 2
"""Open files of one stream or socket: towards the client and towards the service."""
REST = 200


def examine(gateway: Settings) -> Iterator[Finding]:
    """Whether the gateway can carry what its settings let in."""
    services = sum(url is not None for url in gateway.services.values())
    lasting = gateway.upstream_streams + gateway.upstream_sockets
    wanted = REST + EACH * services * (lasting + gateway.upstream_requests)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < wanted:
        said = f"{most} open files are allowed, all streams and sockets need {wanted}"
        yield note("load", said, "raise `ulimit -Hn`, or lower UPSTREAM_STREAMS")
    else:
        yield good("load", f"{lasting} streams and sockets of each service have files enough")
    if gateway.drain_seconds + gateway.drain_grace_seconds > 0:
        seconds = gateway.drain_seconds + gateway.drain_grace_seconds + 5
        yield good("stopping", f"give each service {seconds:g} s to end")
    if gateway.upstream_requests > gateway.service_requests:
        said = "UPSTREAM_REQUESTS is more than SERVICE_REQUESTS: the service refuses first"
        yield note("load", said, "lower the first")
