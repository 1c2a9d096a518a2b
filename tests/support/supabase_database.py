"""A database as Supabase hands it over: its schema `auth` is there, owned by Supabase Auth.

The owner of our tables is no superuser: it may read `auth.users` and refer to it, and no more.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from kit import embedded, migrations

OWNER, ADMIN = "project_owner", "supabase_auth_admin"

_ROLES = """
do $$ begin
  create role anon nologin noinherit;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
  create role authenticated nologin noinherit;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
  create role service_role nologin noinherit bypassrls;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
  create role authenticator noinherit login;
  grant anon, authenticated, service_role to authenticator;
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
  create role supabase_auth_admin noinherit createrole login password 'project';
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
  create role project_owner login createrole bypassrls password 'project';
exception when duplicate_object or unique_violation then null; end $$;
do $$ begin
  -- Another database of this cluster may have brought it: its maker alone may hand it on.
  if exists (select from pg_roles where rolname = 'medbot_app') then
    grant medbot_app to project_owner with admin option;
  end if;
end $$;
"""

# The columns of the server's own migrations that count here, in their own types.
_SCHEMA = """
create schema auth authorization supabase_auth_admin;
set role supabase_auth_admin;
create table auth.users (
  instance_id uuid, id uuid primary key, aud varchar(255), role varchar(255), email varchar(255),
  encrypted_password varchar(255), email_confirmed_at timestamptz, last_sign_in_at timestamptz,
  raw_app_meta_data jsonb, raw_user_meta_data jsonb, is_super_admin boolean,
  created_at timestamptz, updated_at timestamptz, phone text unique default null,
  banned_until timestamptz, is_sso_user boolean not null default false, deleted_at timestamptz,
  is_anonymous boolean not null default false
);
create unique index users_email_partial_key on auth.users (email) where not is_sso_user;
alter table auth.users enable row level security;
create table auth.sessions (
  id uuid primary key, user_id uuid not null references auth.users (id) on delete cascade
);
alter table auth.sessions enable row level security;
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')::text $$;
create function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), ''))::jsonb $$;
grant usage on schema auth to anon, authenticated, service_role, project_owner;
grant select, references, trigger on auth.users to project_owner;
reset role;
"""


async def prepare(postgres: str, name: str) -> None:
    """Makes such a database; nothing of ours is in it."""
    connection = await asyncpg.connect(postgres)
    try:
        await connection.execute(_ROLES)
        await connection.execute(f"create database {name}")
        await connection.execute(f"grant all on database {name} to {OWNER}")
    finally:
        await connection.close()
    connection = await asyncpg.connect(login(postgres, None, name))
    try:
        await connection.execute(_SCHEMA)
        await connection.execute(f"grant all on schema public to {OWNER} with grant option")
    finally:
        await connection.close()


def login(postgres: str, user: str | None, name: str) -> str:
    """The address of a database under another login."""
    parts = urlsplit(postgres)
    server = parts.netloc.rpartition("@")[2]
    netloc = parts.netloc if user is None else f"{user}:project@{server}"
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{name}"))


@asynccontextmanager
async def migrated(postgres: str) -> AsyncIterator[str]:
    """The name of a template of such a database with our schema in it."""
    name = f"project_{secrets.token_hex(4)}"
    await prepare(postgres, name)
    service = login(postgres, embedded.SERVICE_LOGIN, name)
    await migrations.apply(login(postgres, OWNER, name), service_url=service)
    yield name
    await run(postgres, f"drop database {name} with (force)")


async def run(url: str, statement: str) -> None:
    """One statement by itself."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
