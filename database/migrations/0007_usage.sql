-- What models took and cost, and how much of a day's cap is spent; what retention looks for.
-- depends: 0005_conversations_whole 0008_privacy

-- migrate: apply

-- One row a day, person, service, provider and model. Tokens as the provider counted them; money
-- in millionths of a US dollar. Where a call ended without telling what it took, the provider is
-- `unreported` and the cost what was set aside for it.
create table medbot.usage (
  day date not null,
  owner_id uuid not null,
  user_id uuid references auth.users (id) on delete cascade,
  service text not null check (char_length(service) between 1 and 30),
  provider text not null check (char_length(provider) between 1 and 100),
  model text not null check (char_length(model) <= 200),
  calls bigint not null default 0,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  micro_usd bigint not null default 0,
  primary key (day, owner_id, service, provider, model),
  check (user_id is null or user_id = owner_id)
);
create index usage_of_owner on medbot.usage (owner_id);
create index usage_of_user on medbot.usage (user_id);
alter table medbot.usage enable row level security;
create policy own_usage on medbot.usage for select to medbot_app
  using (owner_id = (select auth.uid()));
create policy services_count on medbot.usage to medbot_app
  using (medbot.is_service()) with check (medbot.is_service());
grant select, insert, update, delete on medbot.usage to medbot_app;
create trigger pass_over_erased before insert on medbot.usage
  for each row execute function medbot.pass_over_erased('owner_id');

-- What of a day's cap is gone: spent, and set aside for what runs. The owner of all noughts is the
-- whole installation.
create table medbot.spending (
  day date not null,
  owner_id uuid not null,
  micro_usd bigint not null check (micro_usd >= 0),
  primary key (day, owner_id)
);
create index spending_of_owner on medbot.spending (owner_id);
alter table medbot.spending enable row level security;
create policy services_count on medbot.spending to medbot_app
  using (medbot.is_service()) with check (medbot.is_service());
grant select, insert, update, delete on medbot.spending to medbot_app;
create trigger pass_over_erased before insert on medbot.spending
  for each row execute function medbot.pass_over_erased('owner_id');

-- Sets `amount` aside for `owner` on `day`, or answers which cap leaves no room for it. A cap that
-- is null is none. The installation's row is locked last and until the end of the transaction, so
-- this is the last statement of one. It runs as the tables' owner: a person asks for a reply.
create function medbot.set_aside(
  on_day date, owner uuid, amount bigint, person_cap bigint, day_cap bigint
) returns text language sql volatile security definer
begin atomic
  insert into medbot.spending (day, owner_id, micro_usd)
    select on_day, w.id, coalesce((select sum(u.micro_usd) from medbot.usage u
      where u.day = on_day and (u.owner_id = w.id or w.installation)), 0)
    from (values (owner, person_cap is not null, false),
      ('00000000-0000-0000-0000-000000000000'::uuid, day_cap is not null, true))
      w (id, capped, installation)
    where w.capped and not exists (select from medbot.spending s
      where s.day = on_day and s.owner_id = w.id)
    on conflict do nothing;
  select from medbot.spending s where s.day = on_day and (
      (s.owner_id = owner and person_cap is not null)
      or (s.owner_id = '00000000-0000-0000-0000-000000000000' and day_cap is not null))
    order by s.owner_id desc for update;
  with room as (
    select coalesce(bool_or(s.owner_id = owner and s.micro_usd + amount > person_cap), false)
        as person_full,
      coalesce(bool_or(s.owner_id <> owner and s.micro_usd + amount > day_cap), false) as day_full
    from medbot.spending s where s.day = on_day
      and s.owner_id in (owner, '00000000-0000-0000-0000-000000000000')),
  charged as (
    update medbot.spending s set micro_usd = s.micro_usd + amount from room
      where not room.person_full and not room.day_full and s.day = on_day and (
        (s.owner_id = owner and person_cap is not null)
        or (s.owner_id = '00000000-0000-0000-0000-000000000000' and day_cap is not null)))
  select case when room.person_full then 'person' when room.day_full then 'installation' end
    from room;
end;
revoke execute on function medbot.set_aside from public;
grant execute on function medbot.set_aside to medbot_app;

-- Which cap had been reached, so that the library answered in place of a model.
alter table public.messages
  add column limited text check (limited in ('person', 'installation'));
grant select (limited) on public.messages to authenticated;

-- Retention looks for what is old, once a day.
create index messages_age on public.messages (created_at);
create index conversations_age on public.conversations (created_at);
create index sessions_age on medbot.sessions (used_at);

-- migrate: rollback
