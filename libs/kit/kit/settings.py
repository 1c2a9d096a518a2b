"""Settings: one frozen class a service, read from the environment inside the lifespan.

A value that cannot be used stops the start with one line that names it.
"""

import contextlib
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kit.errors import Misconfigured


def home() -> Path:
    """The folder that holds `database/migrations` and `library`: above here, or above the
    working directory (an installed copy)."""
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / "database" / "migrations").is_dir():
                return folder
    raise Misconfigured("the folder database/migrations was not found; start inside the project")


def _env_files() -> tuple[Path, ...]:
    """`.env.local` of the root, then the working directory's own, which wins."""
    return (home() / ".env.local", Path.cwd() / ".env.local")


RootedPath = Annotated[Path, AfterValidator(lambda path: home() / path)]
"""A path that, when it is relative, starts at the root, whatever the working directory is."""


def _http_address(value: str) -> str:
    return str(_addresses.validate_python(value)).rstrip("/")


_addresses: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)

ServiceUrl = Annotated[str, AfterValidator(_http_address)]
"""An address of a service, without a slash at its end."""


def server_address(value: str, *schemes: str) -> SplitResult:
    """The parts of a server's address, which may hold a password: no error quotes it.

    Raises:
        ValueError: it has another scheme, no host, or no usable port.
    """
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"must start with {wanted}")
    if not usable:
        raise ValueError("has no usable port; signs in a password are written as %2F and the like")
    if not parts.hostname:
        raise ValueError("names no host")
    return parts


class Settings(BaseSettings):
    """What every service reads. Field names in lower case are the environment's names.

    `reply_seconds` is the longest reply: who writes it and who waits for it must agree.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = None
    database_direct_url: SecretStr | None = None
    data_dir: RootedPath = Field(default_factory=lambda: home() / ".medbot")
    service_token_secret: SecretStr | None = Field(default=None, min_length=32)
    rabbitmq_url: SecretStr | None = Field(default=None)
    rabbitmq_host: str | None = Field(default=None, max_length=253)
    rabbitmq_port: int = Field(default=5672, ge=1, le=65535)
    rabbitmq_user: str = Field(default="guest", max_length=200)
    rabbitmq_password: SecretStr = SecretStr("guest")
    rabbitmq_vhost: str = Field(default="/", max_length=200)
    next_public_supabase_url: ServiceUrl | None = None
    supabase_url: ServiceUrl | None = None
    next_public_supabase_anon_key: SecretStr | None = None
    supabase_key: SecretStr | None = None
    supabase_jwt_secret: SecretStr | None = Field(default=None, min_length=32)
    auth_service_url: ServiceUrl = "http://127.0.0.1:8001"
    conversation_service_url: ServiceUrl = "http://127.0.0.1:8002"
    reply_seconds: float = Field(default=180.0, ge=1, le=3000)
    drain_seconds: float = Field(default=10.0, ge=0, le=600)
    drain_grace_seconds: float = Field(default=0.0, ge=0, le=120)
    request_head_timeout: float = Field(default=10.0, gt=0, le=600)
    service_requests: int = Field(default=256, ge=1, le=100_000)
    service_streams: int = Field(default=4000, ge=1, le=100_000)
    otel_exporter_otlp_endpoint: ServiceUrl | None = None
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    metrics_public: bool = False
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    debug: bool = False
    log_format: Literal["json", "console"] = "json"
    log_file: RootedPath | None = None

    @property
    def embedded(self) -> bool:
        """Whether the database is the one under `data_dir`."""
        return self.database_url is None

    @field_validator("rabbitmq_url")
    @classmethod
    def _amqp(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            server_address(value.get_secret_value(), "amqp", "amqps")
        return value

    @field_validator("rabbitmq_host")
    @classmethod
    def _host(cls, value: str | None) -> str | None:
        """An address of IPv6 gets the brackets that it needs in front of a port."""
        if value and value.count(":") > 1 and not value.startswith("["):
            value = f"[{value}]"
        if value and re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/@?#]+", value) is None:
            raise ValueError("must be a host alone; RABBITMQ_PORT is its port")
        return value

    def broker_url(self) -> str | None:
        """The address of RabbitMQ; None means that events travel through PostgreSQL."""
        if self.rabbitmq_url is not None:
            return self.rabbitmq_url.get_secret_value()
        if self.rabbitmq_host is None:
            return None
        password = quote(self.rabbitmq_password.get_secret_value(), "")
        login = f"{quote(self.rabbitmq_user, '')}:{password}"
        where = f"{self.rabbitmq_host}:{self.rabbitmq_port}/{quote(self.rabbitmq_vhost, '')}"
        return f"amqp://{login}@{where}"

    def service_secret(self) -> str:
        """The secret that signs service tokens: from the environment or, with the embedded
        database alone, made at the first start and kept under `data_dir`."""
        if self.service_token_secret is not None:
            return self.service_token_secret.get_secret_value()
        if not self.embedded:
            raise Misconfigured("SERVICE_TOKEN_SECRET must be set when DATABASE_URL is set")
        try:
            return _kept_secret(self.data_dir / "service-token.key")
        except OSError as error:
            raise Misconfigured(
                f"DATA_DIR: cannot keep a secret there ({error.strerror})"
            ) from error


CommaList = Annotated[tuple[str, ...], NoDecode]
"""For values such as `CORS_ORIGINS=http://a,http://b`; the class splits them in a validator."""


def split_commas(value: object) -> object:
    """`"a, b"` → `("a", "b")`; anything else is left for pydantic to judge."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


S = TypeVar("S", bound=Settings)


def load(settings: type[S]) -> S:
    """Reads the environment and the `.env.local` files.

    Raises:
        Misconfigured: one line that names the value.
    """
    try:
        return settings(_env_file=_env_files())
    except ValidationError as refused:
        first = refused.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else settings.__name__
        raise Misconfigured(f"{name}: {first['msg']}") from None


def _kept_secret(path: Path) -> str:
    """Reads the secret at `path`, made by whichever process comes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):  # the first process's secret holds for all
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
