"""One service in this process, as a container or a unit of systemd runs it."""

from kit import server, settings
from medbot import running, services
from medbot.terminal import Failed

NAMES = tuple(service.name for service in services.IN_ORDER)


def serve(name: str, *, host: str, port: int | None, drain: float | None) -> None:
    """Serves until SIGTERM; then takes nothing new and lets what is open end within `drain` s.

    Without `drain` it is the setting's. The host `::` takes IPv6 and IPv4 alike.

    Raises:
        Failed: there is no such service, its port is taken, or it could not start.
    """
    service = next((known for known in services.IN_ORDER if known.name == name), None)
    if service is None:
        raise Failed(f"there is no service {name}: take one of {', '.join(NAMES)}")
    listens_on = port or 8000 + service.after
    chosen = settings.load(service.reads)
    running.allow_many_connections()
    try:
        bound = running.bind(host, listens_on)
    except running.PortTaken:
        raise Failed(f"another program listens on port {listens_on}") from None
    config = server.config(
        service.build(None),
        drain=chosen.drain_seconds if drain is None else drain,
        head_within=chosen.request_head_timeout,
    )
    serves = server.Server(config, grace=chosen.drain_grace_seconds)
    with bound:
        serves.run([bound])
    if not serves.started:
        raise Failed(f"{name} could not start: its log says why")
