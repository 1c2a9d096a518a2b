-- The ground: what Supabase brings where it is missing, the role that writes, the plumbing.
-- depends:

-- migrate: apply

-- Who bring an `auth` schema (Supabase) keep theirs untouched; everywhere else the same names are
-- made, so that policies read alike.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role', 'medbot_app'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin noinherit', wanted);
      end if;
    exception when duplicate_object or unique_violation then
      null; -- another database of this cluster was migrated at the same moment
    end;
  end loop;
end $$;

do $$
begin
  if to_regnamespace('auth') is not null then
    return;
  end if;
  create schema auth;
  create table auth.users (
    id uuid primary key default gen_random_uuid(),
    email text,
    raw_app_meta_data jsonb not null default '{}',
    raw_user_meta_data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
  );
  create unique index users_email_key on auth.users (lower(email));
  create function auth.jwt() returns jsonb language sql stable
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  create function auth.uid() returns uuid language sql stable
    return nullif(auth.jwt() ->> 'sub', '')::uuid;
  create function auth.role() returns text language sql stable
    return auth.jwt() ->> 'role';
  grant usage on schema auth to anon, authenticated, service_role, medbot_app;
  grant select, insert, update, delete on auth.users to medbot_app;
  alter table auth.users enable row level security;
  create policy service_writes on auth.users to medbot_app
    using (auth.role() = 'service') with check (auth.role() = 'service');
  create policy own_account on auth.users for select to medbot_app
    using (id = (select auth.uid()));
end $$;

alter table public._pogo_migration enable row level security;
alter table public._pogo_version enable row level security;
revoke all on public._pogo_migration, public._pogo_version from public, anon, authenticated;

create schema medbot;
revoke all on schema medbot from public;
grant usage on schema medbot to medbot_app;
grant usage on schema public to medbot_app, authenticated;

-- Its body is resolved when it is made, like a policy's: on Supabase the owner may not let
-- `medbot_app` look into the schema `auth`, and nothing of ours needs it to.
create function medbot.is_service(name text default null) returns boolean
  language sql stable
  return coalesce(auth.jwt() ->> 'role' = 'service', false)
    and (name is null or auth.jwt() ->> 'service' = name);

-- A service may see how far its database has come.
create policy services_look on public._pogo_migration for select to medbot_app
  using (medbot.is_service());
grant select on public._pogo_migration to medbot_app;

-- Facts on their way out: written with what they tell of, taken by the relay in order.
create table medbot.outbox (
  id bigint generated always as identity primary key,
  topic text not null,
  key text not null,
  envelope jsonb not null,
  created_at timestamptz not null default now()
);
alter table medbot.outbox enable row level security;
create policy anyone_emits on medbot.outbox for insert to medbot_app with check (true);
create policy relay_takes on medbot.outbox to medbot_app using (medbot.is_service());
grant select, insert, delete on medbot.outbox to medbot_app;

-- The embedded bus: one row an event and queue.
create table medbot.queue (
  id bigint generated always as identity primary key,
  queue text not null,
  event_id uuid not null,
  envelope jsonb not null,
  attempts integer not null default 0,
  visible_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  unique (queue, event_id)
);
create index queue_next on medbot.queue (queue, visible_at, id);
alter table medbot.queue enable row level security;
create policy services_only on medbot.queue to medbot_app
  using (medbot.is_service()) with check (medbot.is_service());
grant select, insert, update, delete on medbot.queue to medbot_app;

create table medbot.dead_letters (
  id bigint generated always as identity primary key,
  queue text not null,
  event_id uuid not null,
  envelope jsonb not null,
  attempts integer not null,
  error text not null, -- the type of what was raised, never its text
  died_at timestamptz not null default now()
);
alter table medbot.dead_letters enable row level security;
create policy services_only on medbot.dead_letters to medbot_app
  using (medbot.is_service()) with check (medbot.is_service());
grant select, insert, update, delete on medbot.dead_letters to medbot_app;

-- What a queue's consumer has done already, written with the effect itself.
create table medbot.inbox (
  queue text not null,
  event_id uuid not null,
  done_at timestamptz not null default now(),
  primary key (queue, event_id)
);
create index inbox_age on medbot.inbox (done_at);
alter table medbot.inbox enable row level security;
create policy services_only on medbot.inbox to medbot_app
  using (medbot.is_service()) with check (medbot.is_service());
grant select, insert, delete on medbot.inbox to medbot_app;

-- One row a key and person: the digest of what was asked, the ids of what was made, no words.
create table medbot.idempotency_keys (
  owner_id uuid not null,
  key text not null check (char_length(key) between 1 and 200),
  digest bytea not null,
  made jsonb not null,
  created_at timestamptz not null default now(),
  primary key (owner_id, key)
);
create index idempotency_keys_age on medbot.idempotency_keys (created_at);
alter table medbot.idempotency_keys enable row level security;
create policy own_keys on medbot.idempotency_keys to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service())
  with check (owner_id = (select auth.uid()));
grant select, insert, delete on medbot.idempotency_keys to medbot_app;

-- migrate: rollback
