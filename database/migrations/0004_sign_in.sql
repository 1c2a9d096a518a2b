-- Sign-in: delays after failures, mails with links, sessions that people can tell apart, guests.
-- depends: 0003_accounts

-- migrate: apply

-- Failures by account and address, by account and by address. A key is a keyed hash: nobody who
-- reads the table learns who tried to sign in, nor from where.
create table medbot.sign_in_failures (
  key bytea primary key check (octet_length(key) = 32),
  failures integer not null,
  failed_at timestamptz not null,
  blocked_until timestamptz not null
);
create index sign_in_failures_age on medbot.sign_in_failures (failed_at);
alter table medbot.sign_in_failures enable row level security;
create policy auth_only on medbot.sign_in_failures to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.sign_in_failures to medbot_app;

-- From where somebody has signed in before, as the same kind of hash: failures of strangers
-- elsewhere do not keep them out there.
create table medbot.sign_in_places (
  key bytea primary key check (octet_length(key) = 32),
  user_id uuid not null references auth.users (id) on delete cascade,
  seen_at timestamptz not null
);
create index sign_in_places_of_user on medbot.sign_in_places (user_id);
create index sign_in_places_age on medbot.sign_in_places (seen_at);
alter table medbot.sign_in_places enable row level security;
create policy auth_only on medbot.sign_in_places to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.sign_in_places to medbot_app;

-- What somebody tells two of their own sessions apart by: a network, never a whole address, and
-- the kind of program, never its whole name.
alter table medbot.sessions
  add column network text check (char_length(network) <= 64),
  add column program text check (char_length(program) <= 64);

-- Accounts that wait for their address to be confirmed. There may be several for one address, and
-- some for an address that has an account: registering does not tell.
create table medbot.pending_accounts (
  id uuid primary key,
  email text not null check (char_length(email) <= 254),
  password_hash text not null,
  full_name text check (char_length(full_name) between 1 and 200),
  created_at timestamptz not null
);
create index pending_accounts_email on medbot.pending_accounts (email);
create index pending_accounts_age on medbot.pending_accounts (created_at);
alter table medbot.pending_accounts enable row level security;
create policy auth_only on medbot.pending_accounts to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, delete on medbot.pending_accounts to medbot_app;

-- The SHA-256 of each token in a mailed link. Using one deletes it.
create table medbot.mailed_tokens (
  digest bytea primary key check (octet_length(digest) = 32),
  purpose text not null check (purpose in ('verify', 'reset')),
  user_id uuid references auth.users (id) on delete cascade,
  pending_id uuid references medbot.pending_accounts (id) on delete cascade,
  expires_at timestamptz not null,
  check ((purpose = 'verify') = (pending_id is not null)),
  check ((purpose = 'reset') = (user_id is not null))
);
create index mailed_tokens_of_user on medbot.mailed_tokens (user_id);
create index mailed_tokens_of_pending on medbot.mailed_tokens (pending_id);
create index mailed_tokens_age on medbot.mailed_tokens (expires_at);
alter table medbot.mailed_tokens enable row level security;
create policy auth_only on medbot.mailed_tokens to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, delete on medbot.mailed_tokens to medbot_app;

-- Mails on their way. A row has no address and no link: the address is looked up and the token made
-- when the mail is sent. A row without anybody is a mail to an unknown address, which is written
-- all the same and never sent. `recipient` is a keyed hash, to bound the mails to one address.
create table medbot.mails (
  id uuid primary key,
  kind text not null check (kind in ('verify', 'reset', 'password_changed')),
  user_id uuid references auth.users (id) on delete cascade,
  pending_id uuid references medbot.pending_accounts (id) on delete cascade,
  recipient bytea not null check (octet_length(recipient) = 32),
  created_at timestamptz not null,
  due_at timestamptz not null,
  attempts integer not null default 0,
  done_at timestamptz
);
create index mails_due on medbot.mails (due_at) where done_at is null;
create index mails_to_one on medbot.mails (recipient, done_at);
create index mails_of_user on medbot.mails (user_id);
create index mails_of_pending on medbot.mails (pending_id);
alter table medbot.mails enable row level security;
create policy auth_only on medbot.mails to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, update, delete on medbot.mails to medbot_app;

-- Which guest became whom; a guest becomes one person. Kept for as long as a guest's token lives.
create table medbot.joined_guests (
  guest_id uuid primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  joined_at timestamptz not null
);
create index joined_guests_of_user on medbot.joined_guests (user_id);
create index joined_guests_age on medbot.joined_guests (joined_at);
alter table medbot.joined_guests enable row level security;
create policy auth_only on medbot.joined_guests to medbot_app
  using (medbot.is_service('auth')) with check (medbot.is_service('auth'));
grant select, insert, delete on medbot.joined_guests to medbot_app;

-- migrate: rollback
