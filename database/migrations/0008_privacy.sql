-- Privacy: consents, erasures with their receipts, and what keeps erased rows from coming back.
-- depends: 0004_sign_in 0005_conversations_whole 0006_audit 0009_voice

-- migrate: apply

-- One row a decision, never changed: what was asked in which wording, and what was answered.
-- `given` is null where somebody took an answer back and said neither yes nor no.
create table public.user_consents (
  id bigint generated always as identity primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,49}$'),
  given boolean,
  wording text not null check (char_length(wording) between 1 and 40),
  locale text not null check (char_length(locale) between 1 and 35),
  decided_at timestamptz not null
);
create index user_consents_of_user on public.user_consents (user_id, name, id desc);
alter table public.user_consents enable row level security;
create policy own_consents on public.user_consents for select to medbot_app, authenticated
  using (user_id = (select auth.uid()) or medbot.is_service('auth'));
create policy own_decisions on public.user_consents for insert to medbot_app
  with check (user_id = (select auth.uid()));
create policy auth_erases on public.user_consents for delete to medbot_app
  using (medbot.is_service('auth'));
revoke all on public.user_consents from public, anon, authenticated;
grant select on public.user_consents to authenticated;
grant select, insert, delete on public.user_consents to medbot_app;

insert into public.user_consents (user_id, name, given, wording, locale, decided_at)
  select p.user_id, c.key, c.value = 'true', 'unversioned', coalesce(p.locale, 'en'), p.updated_at
  from public.user_profiles p cross join jsonb_each(p.consents) c
  where jsonb_typeof(c.value) = 'boolean' and c.key ~ '^[a-z][a-z0-9_]{0,49}$'
  order by p.user_id, c.key;
alter table public.user_profiles drop column consents;
-- Erasing removes a profile before its account.
create policy auth_erases on public.user_profiles for delete to medbot_app
  using (medbot.is_service('auth'));
grant delete on public.user_profiles to medbot_app;

-- That somebody was erased, by the SHA-256 of their random id: it tells nothing of the person, and
-- whoever still holds the id can be recognised.
create table medbot.tombstones (
  digest bytea primary key check (octet_length(digest) = 32),
  erased_at timestamptz not null
);
alter table medbot.tombstones enable row level security;
create policy anybody_asks on medbot.tombstones for select to medbot_app using (true);
create policy auth_writes on medbot.tombstones for insert to medbot_app
  with check (medbot.is_service('auth'));
grant select, insert on medbot.tombstones to medbot_app;

create function medbot.person_digest(person uuid) returns bytea language sql immutable
  return sha256(uuid_send(person));
create function medbot.person_lock(person uuid) returns bigint language sql immutable
  return hashtextextended('medbot.person:' || person::text, 0);
create function medbot.is_erased(person uuid) returns boolean language sql stable
  return exists (select from medbot.tombstones where digest = medbot.person_digest(person));

-- A late write for somebody who was erased does nothing. The shared lock makes an erasure wait for
-- writers that have begun, and writers that come later see its tombstone. An erasure takes the
-- lock before it locks any row. The argument names the column of the person.
create function medbot.pass_over_erased() returns trigger language plpgsql as $$
declare
  person uuid := (to_jsonb(new) ->> tg_argv[0])::uuid;
begin
  if person is null then
    return new;
  end if;
  perform pg_advisory_xact_lock_shared(medbot.person_lock(person));
  if medbot.is_erased(person) then
    return null;
  end if;
  return new;
end $$;

create trigger pass_over_erased before insert on public.conversations
  for each row execute function medbot.pass_over_erased('owner_id');
create trigger pass_over_erased before insert on public.user_profiles
  for each row execute function medbot.pass_over_erased('user_id');
create trigger pass_over_erased before insert on public.user_consents
  for each row execute function medbot.pass_over_erased('user_id');
create trigger pass_over_erased before insert on public.voice_sessions
  for each row execute function medbot.pass_over_erased('owner_id');
create trigger pass_over_erased before insert on medbot.feed_heads
  for each row execute function medbot.pass_over_erased('owner_id');
create trigger pass_over_erased before insert on medbot.idempotency_keys
  for each row execute function medbot.pass_over_erased('owner_id');

-- `id` is what its person keeps: who knows it may read how far the erasure is, and its receipt.
-- `person_id` is there until every service has erased, then it goes as well.
create table medbot.erasures (
  id uuid primary key,
  person_id uuid unique,
  digest bytea not null unique check (octet_length(digest) = 32),
  requested_at timestamptz not null,
  told_at timestamptz not null,
  completed_at timestamptz,
  receipt text,
  check ((completed_at is null) = (receipt is null)),
  check ((completed_at is null) = (person_id is not null))
);
create index erasures_open on medbot.erasures (told_at) where completed_at is null;
alter table medbot.erasures enable row level security;
create policy auth_only on medbot.erasures to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update on medbot.erasures to medbot_app;

create table medbot.erasure_parts (
  erasure_id uuid not null references medbot.erasures (id) on delete cascade,
  service text not null,
  erased_at timestamptz,
  primary key (erasure_id, service)
);
alter table medbot.erasure_parts enable row level security;
create policy auth_only on medbot.erasure_parts to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update on medbot.erasure_parts to medbot_app;

-- One export at a time and person; the lease of one whose instance died runs out.
create table medbot.exports (
  person_id uuid primary key,
  lease_until timestamptz not null
);
alter table medbot.exports enable row level security;
create policy auth_only on medbot.exports to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.exports to medbot_app;
create trigger pass_over_erased before insert on medbot.exports
  for each row execute function medbot.pass_over_erased('person_id');

-- Keys are kept as their SHA-256: whoever chose one may have chosen words.
update medbot.idempotency_keys set key = encode(sha256(convert_to(key, 'UTF8')), 'hex');

-- Events about somebody are taken out of the outbox, past those that are being relayed: to pass
-- over locked rows one must be allowed to lock them.
grant update on medbot.outbox to medbot_app;

-- A person's messages in the order of an export.
create index messages_of_owner_in_order on public.messages (owner_id, conversation_id, seq);

-- migrate: rollback
