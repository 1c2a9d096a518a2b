-- What was ended or taken away stays so where another keeps the accounts.
-- depends: 0015_voice_locale

-- migrate: apply

-- A session that was ended may have to be refused for as long as its account lives: what is left of
-- it then is that it ended, without its times, network and program.
alter table medbot.sessions
  alter column created_at drop not null,
  alter column used_at drop not null,
  add constraint only_an_ended_session_is_stripped check (
    num_nulls(created_at, used_at) = 0
    or (num_nonnulls(created_at, used_at, network, program) = 0 and ended_at is not null)
  ) not valid;

-- Since when a role is not somebody's, as far as this installation has said so: a token that is no
-- younger and carries it is refused.
create table medbot.lost_roles (
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('patient', 'staff', 'admin')),
  lost_at timestamptz not null,
  primary key (user_id, role)
);
create index lost_roles_age on medbot.lost_roles (lost_at);
alter table medbot.lost_roles enable row level security;
create policy auth_only on medbot.lost_roles to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
revoke all on medbot.lost_roles from public;
grant select, insert, update, delete on medbot.lost_roles to medbot_app;

-- migrate: rollback
