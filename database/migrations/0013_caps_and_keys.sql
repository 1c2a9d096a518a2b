-- Caps on cost for guests, addresses and speech; signing keys that follow each other.
-- depends: 0007_usage 0009_voice 0010_queue_in_order 0012_account_changes

-- migrate: apply

-- Sets `amount` aside on `day` in every one of `accounts`, or answers the place of the first whose
-- cap leaves no room for it. An account is a person, a guest, an address (under an id drawn from it)
-- or, as all noughts, the installation, which sums up everybody. Rows are locked in one order, the
-- installation's last and until the end of the transaction, so this is the last statement of one.
-- It runs as the tables' owner: a person asks for a reply.
create function medbot.set_aside(on_day date, accounts uuid[], caps bigint[], amount bigint)
returns integer language sql volatile security definer
begin atomic
  insert into medbot.spending (day, owner_id, micro_usd)
    select on_day, a.id, coalesce((select sum(u.micro_usd) from medbot.usage u
      where u.day = on_day
        and (u.owner_id = a.id or a.id = '00000000-0000-0000-0000-000000000000')), 0)
    from unnest(accounts) a (id)
    where not exists (select from medbot.spending s where s.day = on_day and s.owner_id = a.id)
    order by a.id desc
    on conflict do nothing;
  select from medbot.spending s where s.day = on_day and s.owner_id = any (accounts)
    order by s.owner_id desc for update;
  with kept as (
    select s.owner_id, a.place, s.micro_usd + amount > a.cap as is_full
    from unnest(accounts, caps) with ordinality a (id, cap, place)
    join medbot.spending s on s.day = on_day and s.owner_id = a.id),
  charged as (
    update medbot.spending s set micro_usd = s.micro_usd + amount from kept
      where s.day = on_day and s.owner_id = kept.owner_id
      and not exists (select from kept k where k.is_full))
  select min(place)::integer from kept where is_full;
end;
revoke execute on function medbot.set_aside(date, uuid[], bigint[], bigint) from public;
grant execute on function medbot.set_aside(date, uuid[], bigint[], bigint) to medbot_app;

alter table public.messages drop constraint messages_limited_check;
alter table public.messages add constraint messages_limited_check
  check (limited in ('person', 'address', 'installation'));

-- The cap for which a session goes on, or began, with offline voice.
alter table public.voice_sessions
  add column limited text check (limited in ('person', 'address', 'installation'));

-- From where a guest came in, as a keyed hash of the day and the address: what all guests from one
-- address spend is counted together under it.
create table medbot.guest_places (
  guest_id uuid primary key,
  place uuid not null,
  made_at timestamptz not null
);
create index guest_places_age on medbot.guest_places (made_at);
alter table medbot.guest_places enable row level security;
create policy own_place on medbot.guest_places for select to medbot_app
  using (guest_id = (select auth.uid()) or medbot.is_service());
create policy auth_writes on medbot.guest_places to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, delete on medbot.guest_places to medbot_app;

-- A guest's numbers in the feed go when the last entry has: their hour is long over. A person's stay,
-- since a screen of theirs may know them.
create function medbot.has_account(someone uuid) returns boolean
language sql stable security definer
return exists (select from auth.users u where u.id = someone);
revoke execute on function medbot.has_account(uuid) from public;
grant execute on function medbot.has_account(uuid) to medbot_app;

-- A key that no longer signs loses its private half, and no token of it holds after `valid_until`.
-- Its public half stays, for the receipts that it signed.
alter table medbot.signing_keys
  alter column private_pem drop not null,
  add column valid_until timestamptz,
  add constraint only_the_active_key_signs
    check (active = (private_pem is not null) and active = (valid_until is null)) not valid;

-- migrate: rollback
