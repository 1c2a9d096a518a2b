-- What whoever keeps the accounts elsewhere has yet to be told of them.
-- depends: 0011_accounts_view

-- migrate: apply

-- Written in the transaction that changes somebody here, gone when it has been told. `roles` and
-- `locked` are null where they stay as they are; `told_until` is a lease of who is telling it.
create table medbot.account_changes (
  user_id uuid primary key references auth.users (id) on delete cascade,
  roles text[],
  locked boolean,
  version uuid not null default gen_random_uuid(),
  made_at timestamptz not null,
  told_until timestamptz
);
alter table medbot.account_changes enable row level security;
create policy auth_only on medbot.account_changes to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
revoke all on medbot.account_changes from public;
grant select, insert, update, delete on medbot.account_changes to medbot_app;

create or replace view medbot.accounts as
  select u.id, u.email::text as email, u.raw_user_meta_data ->> 'full_name' as full_name,
    u.created_at, u.updated_at, u.raw_app_meta_data -> 'roles' as told_roles
  from auth.users u
  where medbot.is_service('auth') or u.id = (select auth.uid());

-- migrate: rollback
