-- The audit log, a chain of hashes, whose rows cannot be changed unseen.
-- depends: 0003_accounts

-- migrate: apply

-- The log names people by a number drawn from their id and a random salt. Erasing an account takes
-- this row away: the log and its hashes stay as they are, and tell of nobody any more. Nobody can
-- be put in another's place here, since the number would be another one.
create table medbot.audit_people (
  person_id uuid primary key references auth.users (id) on delete cascade,
  salt uuid not null default gen_random_uuid(),
  pseudonym uuid not null unique generated always as
    (encode(substring(sha256(uuid_send(salt) || uuid_send(person_id)) for 16), 'hex')::uuid) stored
);
alter table medbot.audit_people enable row level security;
create policy auth_reads on medbot.audit_people for select to medbot_app
  using (medbot.is_service('auth'));
grant select on medbot.audit_people to medbot_app;

-- `actor` is null for the operator of the installation (the command line) and for a service.
-- No column can hold a sentence: ids, names of calls and codes alone.
create table medbot.audit_log (
  seq bigint primary key,
  at timestamptz not null,
  service text not null check (service ~ '^[a-z_]{1,30}$'),
  actor_kind text not null check (actor_kind in ('person', 'operator', 'service')),
  actor uuid,
  actor_roles text[] not null,
  action text not null check (action ~ '^[a-z_]+(\.[a-z_]+)+$' and char_length(action) <= 60),
  outcome text not null check (outcome ~ '^[a-z_]+(\.[a-z_]+)?$' and char_length(outcome) <= 60),
  subjects uuid[] not null,
  resources text[] not null check (cardinality(resources) <= 200
    and coalesce(array_to_string(resources, ' '), '') ~ '^([a-z_]+:[A-Za-z0-9._-]{1,64}( |$))*$'),
  request_id text not null check (request_id ~ '^[A-Za-z0-9._:-]{0,128}$'),
  previous bytea not null check (octet_length(previous) = 32),
  hash bytea not null check (octet_length(hash) = 32)
);
create index audit_log_at on medbot.audit_log (at);
create index audit_log_actor on medbot.audit_log (actor, seq);
create index audit_log_action on medbot.audit_log (action, seq);
create index audit_log_subjects on medbot.audit_log using gin (subjects);
create index audit_log_hash on medbot.audit_log (hash);
alter table medbot.audit_log enable row level security;
create policy auth_reads on medbot.audit_log for select to medbot_app
  using (medbot.is_service('auth'));
grant select on medbot.audit_log to medbot_app;

-- The newest row's number and hash, signed with a key that is not in the database.
create table medbot.audit_head (
  singleton boolean primary key default true check (singleton),
  seq bigint not null,
  hash bytea not null check (octet_length(hash) = 32),
  kid text,
  signature bytea
);
insert into medbot.audit_head (seq, hash) values (0, sha256('medbot audit log'));
alter table medbot.audit_head enable row level security;
create policy auth_reads on medbot.audit_head for select to medbot_app
  using (medbot.is_service('auth'));
grant select on medbot.audit_head to medbot_app;

-- Where the chain begins after old rows were removed: number and hash of the last one that went.
create table medbot.audit_checkpoints (
  seq bigint primary key,
  hash bytea not null check (octet_length(hash) = 32),
  removed_at timestamptz not null,
  kid text not null,
  signature bytea not null
);
alter table medbot.audit_checkpoints enable row level security;
create policy auth_reads on medbot.audit_checkpoints for select to medbot_app
  using (medbot.is_service('auth'));
grant select on medbot.audit_checkpoints to medbot_app;

-- What a row's hash covers: the row before it, and every column. An array of JSON has one writing.
create function medbot.audit_digest(r medbot.audit_log) returns bytea language sql stable
  return sha256(r.previous || convert_to(jsonb_build_array(
    r.seq, (extract(epoch from r.at) * 1000000)::bigint, r.service, r.actor_kind, r.actor,
    to_jsonb(r.actor_roles), r.action, r.outcome, to_jsonb(r.subjects), to_jsonb(r.resources),
    r.request_id)::text, 'UTF8'));

-- Only these functions write, as the owner of the tables, and only for a service. The lock on the
-- head makes the order of the chain the order of the commits.
create function medbot.audit_append(
  at timestamptz, service text, actor_kind text, actor uuid, actor_roles text[], action text,
  outcome text, people uuid[], resources text[], request_id text
) returns table (seq bigint, hash bytea) language sql volatile security definer
begin atomic
  insert into medbot.audit_people (person_id)
    select u.id from auth.users u where u.id = any (people || actor)
    order by u.id on conflict do nothing;
  select from medbot.audit_head for update;
  insert into medbot.audit_log
    select n.seq, n.at, n.service, n.actor_kind, n.actor, n.actor_roles, n.action, n.outcome,
      n.subjects, n.resources, n.request_id, n.previous, medbot.audit_digest(row(n.*)::medbot.audit_log)
    from medbot.audit_head h cross join lateral (
      select h.seq + 1 as seq, audit_append.at, audit_append.service, audit_append.actor_kind,
        case when audit_append.actor is not null then coalesce((select p.pseudonym
          from medbot.audit_people p where p.person_id = audit_append.actor), gen_random_uuid())
        end as actor,
        audit_append.actor_roles, audit_append.action, audit_append.outcome,
        array(select coalesce(p.pseudonym, gen_random_uuid()) from unnest(people) who (id)
          left join medbot.audit_people p on p.person_id = who.id order by 1) as subjects,
        audit_append.resources, audit_append.request_id, h.hash as previous, null::bytea as hash
      where medbot.is_service()
    ) n;
  update medbot.audit_head h set seq = r.seq, hash = r.hash, kid = null, signature = null
    from medbot.audit_log r where r.seq = h.seq + 1 and medbot.is_service()
    returning h.seq, h.hash;
end;

create function medbot.audit_sign(seq bigint, kid text, signature bytea)
  returns boolean language sql volatile security definer
begin atomic
  update medbot.audit_head h set kid = audit_sign.kid, signature = audit_sign.signature
    where h.seq = audit_sign.seq and medbot.is_service() returning true;
end;

-- Takes the rows up to `seq` away. Rows of the last 30 days stay, whoever asks.
create function medbot.audit_trim(
  seq bigint, hash bytea, at timestamptz, kid text, signature bytea
) returns bigint language sql volatile security definer
begin atomic
  insert into medbot.audit_checkpoints (seq, hash, removed_at, kid, signature)
    select r.seq, r.hash, audit_trim.at, audit_trim.kid, audit_trim.signature
    from medbot.audit_log r
    where r.seq = audit_trim.seq and r.hash = audit_trim.hash and medbot.is_service('auth')
      and not exists (select from medbot.audit_log young
        where young.seq <= audit_trim.seq and young.at > now() - interval '30 days');
  with gone as (
    delete from medbot.audit_log r using medbot.audit_checkpoints c
      where c.seq = audit_trim.seq and c.hash = audit_trim.hash and r.seq <= c.seq
        and medbot.is_service('auth')
      returning 1)
    select count(*) from gone;
end;

revoke execute on function medbot.audit_append, medbot.audit_sign, medbot.audit_trim from public;
grant execute on function medbot.audit_append, medbot.audit_sign, medbot.audit_trim to medbot_app;

-- A locked account opens no session. What it had open ends with the lock.
create table medbot.account_locks (
  user_id uuid primary key references auth.users (id) on delete cascade,
  locked_at timestamptz not null
);
alter table medbot.account_locks enable row level security;
create policy auth_only on medbot.account_locks to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, delete on medbot.account_locks to medbot_app;

create index user_profiles_newest on public.user_profiles (created_at desc, user_id desc);

-- migrate: rollback
