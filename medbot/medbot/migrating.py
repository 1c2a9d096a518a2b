"""`medbot migrate`: the owner's work on a database of your own, or on the embedded one."""

from kit import embedded, migrations
from kit.errors import Misconfigured
from medbot.settings import Settings


async def migrate(settings: Settings) -> list[str]:
    """Applies what is missing, provides the login that DATABASE_URL names, answers the names.

    Raises:
        Misconfigured: DATABASE_DIRECT_URL is missing beside DATABASE_URL, or cannot be used.
    """
    if settings.database_direct_url is not None:
        service = settings.database_url
        return await migrations.apply(
            settings.database_direct_url.get_secret_value(),
            service_url=service.get_secret_value() if service is not None else None,
        )
    if settings.database_url is not None:
        raise Misconfigured(
            "DATABASE_DIRECT_URL must be set: the owner's login, on a direct connection"
        )
    with embedded.running_server(settings.data_dir) as sockets:
        owner = embedded.address(sockets, "postgres", embedded.DATABASE)
        await embedded.create_database(
            embedded.address(sockets, "postgres", "postgres"), embedded.DATABASE
        )
        service_url = embedded.address(sockets, embedded.SERVICE_LOGIN, embedded.DATABASE)
        return await migrations.apply(owner, service_url=service_url)
