-- Accounts: profiles, roles, and what the local identity provider keeps.
-- depends: 0002_conversations

-- migrate: apply

-- Accounts are auth's: no other service reads or writes those of others. Supabase keeps its own.
do $$
begin
  if exists (select from pg_policies where schemaname = 'auth' and tablename = 'users'
      and policyname = 'service_writes') then
    alter policy service_writes on auth.users
      using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
  end if;
end $$;

create table public.user_profiles (
  user_id uuid primary key references auth.users (id) on delete cascade,
  full_name text check (char_length(full_name) between 1 and 200),
  phone text check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  date_of_birth date,
  locale text check (char_length(locale) <= 35),
  time_zone text check (char_length(time_zone) <= 64),
  consents jsonb not null default '{}' check (jsonb_typeof(consents) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
alter table public.user_profiles enable row level security;
create policy own_profile on public.user_profiles for select to medbot_app, authenticated
  using (user_id = (select auth.uid()));
create policy app_writes_own on public.user_profiles to medbot_app
  using (user_id = (select auth.uid()) or medbot.is_service('auth'))
  with check (user_id = (select auth.uid()) or medbot.is_service('auth'));
revoke all on public.user_profiles from public, anon, authenticated;
grant select on public.user_profiles to authenticated;
grant select, insert, update on public.user_profiles to medbot_app;

-- Nobody writes roles as themselves: only auth does, after its own check.
create table public.user_roles (
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('patient', 'staff', 'admin')),
  created_at timestamptz not null default now(),
  primary key (user_id, role)
);
alter table public.user_roles enable row level security;
create policy own_roles on public.user_roles for select to medbot_app, authenticated
  using (user_id = (select auth.uid()));
create policy auth_writes on public.user_roles to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
revoke all on public.user_roles from public, anon, authenticated;
grant select on public.user_roles to authenticated;
grant select, insert, delete on public.user_roles to medbot_app;

create table medbot.credentials (
  user_id uuid primary key references auth.users (id) on delete cascade,
  password_hash text not null,
  updated_at timestamptz not null default now()
);
alter table medbot.credentials enable row level security;
create policy auth_only on medbot.credentials to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.credentials to medbot_app;

-- A session is one sign-in and the family of the refresh tokens that follow from it.
create table medbot.sessions (
  id uuid primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  created_at timestamptz not null,
  used_at timestamptz not null,
  ended_at timestamptz
);
create index sessions_of_user on medbot.sessions (user_id);
alter table medbot.sessions enable row level security;
create policy own_sessions on medbot.sessions for select to medbot_app
  using (user_id = (select auth.uid()));
create policy auth_writes on medbot.sessions to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.sessions to medbot_app;

-- The SHA-256 of each token, never the token. A row with `used_at` was exchanged for a newer one.
create table medbot.refresh_tokens (
  digest bytea primary key check (octet_length(digest) = 32),
  session_id uuid not null references medbot.sessions (id) on delete cascade,
  created_at timestamptz not null,
  used_at timestamptz
);
create index refresh_tokens_of_session on medbot.refresh_tokens (session_id);
alter table medbot.refresh_tokens enable row level security;
create policy auth_only on medbot.refresh_tokens to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.refresh_tokens to medbot_app;

-- What every verifier asks for. Rows are written under one lock of the transaction, so numbers
-- become visible in order and a reader's cursor passes none by.
create table medbot.ended_sessions (
  seq bigint generated always as identity primary key,
  session_id uuid not null,
  ended_at timestamptz not null
);
create index ended_sessions_age on medbot.ended_sessions (ended_at);
alter table medbot.ended_sessions enable row level security;
create policy auth_only on medbot.ended_sessions to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, delete on medbot.ended_sessions to medbot_app;

-- One key signs at a time; the others are there for verifiers until their last token expires.
create table medbot.signing_keys (
  kid text primary key,
  algorithm text not null check (algorithm = 'ES256'),
  private_pem text not null,
  public_jwk jsonb not null,
  active boolean not null,
  created_at timestamptz not null
);
create unique index one_active_signing_key on medbot.signing_keys (active) where active;
alter table medbot.signing_keys enable row level security;
create policy auth_only on medbot.signing_keys to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update on medbot.signing_keys to medbot_app;

-- migrate: rollback
