-- Conversations, their messages, running replies and the feed.
-- depends: 0001_foundation

-- migrate: apply

-- `owner_id` is the subject of the owner's token and what every policy compares. People also have
-- `user_id`, whose account takes its conversations along; a guest or a caller has none.
create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null,
  user_id uuid references auth.users (id) on delete cascade,
  title text not null default '' check (char_length(title) <= 200),
  pinned boolean not null default false,
  last_seq bigint not null default 0,
  words tsvector generated always as (to_tsvector('english', title)) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (id, owner_id),
  check (user_id is null or user_id = owner_id)
);
create index conversations_of_owner on public.conversations (owner_id, created_at desc, id desc);
create index conversations_of_user on public.conversations (user_id);
alter table public.conversations enable row level security;
create policy own_conversations on public.conversations for select to medbot_app, authenticated
  using (owner_id = (select auth.uid()));
create policy app_writes_own on public.conversations to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('conversation'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('conversation'));
-- Projects may grant everything on new tables by default, and row security does not stop truncate.
revoke all on public.conversations from public, anon, authenticated;
grant select (id, owner_id, user_id, title, pinned, created_at, updated_at)
  on public.conversations to authenticated;
grant select, insert, update, delete on public.conversations to medbot_app;

-- A reply is a message from its first moment. While it runs its text lies in `medbot.reply_parts`
-- and a lease says until when it counts as alive.
create table public.messages (
  id uuid primary key default gen_random_uuid(),
  conversation_id uuid not null,
  owner_id uuid not null,
  seq bigint not null,
  role text not null check (role in ('user', 'assistant', 'system')),
  channel text not null default 'chat' check (channel in ('chat', 'voice', 'websocket', 'phone')),
  content text not null default '' check (char_length(content) <= 200000),
  citations jsonb not null default '[]',
  triage jsonb,
  status text not null default 'complete'
    check (status in ('complete', 'streaming', 'interrupted', 'failed')),
  reply_to uuid references public.messages (id) on delete cascade,
  latency jsonb,
  usage jsonb not null default '[]',
  words tsvector generated always as (to_tsvector('english', content)) stored,
  lease_until timestamptz,
  stop_requested boolean not null default false,
  created_at timestamptz not null default now(),
  unique (conversation_id, seq),
  foreign key (conversation_id, owner_id)
    references public.conversations (id, owner_id) on update cascade on delete cascade,
  check ((status = 'streaming') = (lease_until is not null)),
  check (status <> 'streaming' or role = 'assistant')
);
create unique index one_running_reply on public.messages (conversation_id)
  where status = 'streaming';
create index messages_of_owner on public.messages (owner_id);
create index messages_answered on public.messages (reply_to);
alter table public.messages enable row level security;
create policy own_messages on public.messages for select to medbot_app, authenticated
  using (owner_id = (select auth.uid()));
create policy app_writes_own on public.messages to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('conversation'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('conversation'));
revoke all on public.messages from public, anon, authenticated;
grant select (id, conversation_id, owner_id, seq, role, channel, content, citations, triage,
  status, reply_to, latency, created_at) on public.messages to authenticated;
grant select, insert, update, delete on public.messages to medbot_app;

-- What a running reply has said so far, committed before anybody is shown it. `start` counts code
-- points. The rows go when the message gets its whole content.
create table medbot.reply_parts (
  message_id uuid not null references public.messages (id) on delete cascade,
  seq integer not null,
  start integer not null,
  text text not null,
  citations jsonb not null,
  tools jsonb not null,
  primary key (message_id, seq)
);
alter table medbot.reply_parts enable row level security;
create policy parts_of_own on medbot.reply_parts to medbot_app
  using (exists (select from public.messages m where m.id = message_id))
  with check (exists (select from public.messages m where m.id = message_id));
grant select, insert, delete on medbot.reply_parts to medbot_app;

-- What a person's open screens should hear of, numbered per person without gaps. The row of
-- `feed_heads` is locked while a number is given, so numbers are committed in order.
create table medbot.feed_heads (
  owner_id uuid primary key,
  seq bigint not null
);
create table medbot.feed (
  owner_id uuid not null references medbot.feed_heads (owner_id) on delete cascade,
  seq bigint not null,
  type text not null,
  ref jsonb not null,
  created_at timestamptz not null default now(),
  primary key (owner_id, seq)
);
create index feed_age on medbot.feed (created_at);
alter table medbot.feed_heads enable row level security;
alter table medbot.feed enable row level security;
create policy own_head on medbot.feed_heads to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('conversation'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('conversation'));
create policy own_feed on medbot.feed to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('conversation'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('conversation'));
grant select, insert, update, delete on medbot.feed_heads, medbot.feed to medbot_app;

-- migrate: rollback
