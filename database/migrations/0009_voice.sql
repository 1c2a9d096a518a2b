-- Voice sessions and what was said in them; where each turn stands in its conversation.
-- depends: 0003_accounts

-- migrate: apply

-- `conversation_id` is the conversation service's to keep; its events say when one goes.
create table public.voice_sessions (
  id uuid primary key,
  conversation_id uuid not null,
  owner_id uuid not null,
  user_id uuid references auth.users (id) on delete cascade,
  channel text not null check (channel in ('voice', 'websocket', 'phone')),
  pipeline text not null check (pipeline in ('realtime', 'cascade', 'offline')),
  status text not null default 'created'
    check (status in ('created', 'connecting', 'active', 'ended', 'failed')),
  end_reason text check (end_reason in ('asked', 'caller_left', 'silence', 'too_long', 'drained',
    'failed', 'conversation_deleted')),
  room_name text unique check (char_length(room_name) <= 200),
  alias text check (char_length(alias) <= 100), -- what its owner calls the room
  room_open boolean not null default false, -- the media server may still have the room
  instructions text check (char_length(instructions) <= 20000),
  voice_settings jsonb not null default '{}',
  ignored jsonb not null default '[]',
  metadata jsonb not null default '{}',
  config_version bigint not null default 0,
  last_seq bigint not null default 0, -- of its turns
  message_version bigint not null default 0, -- one more whenever the conversation has a message
  agent_state text,
  participants integer not null default 0,
  holder text, -- the job that runs it
  heartbeat_at timestamptz,
  dispatches integer not null default 0,
  dispatched_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null, -- until then somebody must have come
  joined_at timestamptz,
  started_at timestamptz,
  ends_at timestamptz,
  ended_at timestamptz,
  check (user_id is null or user_id = owner_id),
  check ((status in ('ended', 'failed')) = (ended_at is not null)),
  check ((ended_at is null) = (end_reason is null))
);
create index voice_sessions_of_owner on public.voice_sessions (owner_id, created_at desc, id desc);
create index voice_sessions_of_user on public.voice_sessions (user_id);
create index voice_sessions_of_conversation on public.voice_sessions (conversation_id);
create unique index one_session_of_alias on public.voice_sessions (owner_id, alias)
  where ended_at is null;
create index voice_sessions_running on public.voice_sessions (id) where ended_at is null or room_open;
alter table public.voice_sessions enable row level security;
create policy own_voice_sessions on public.voice_sessions for select to medbot_app, authenticated
  using (owner_id = (select auth.uid()));
create policy app_writes_own on public.voice_sessions to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('voice'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('voice'));
revoke all on public.voice_sessions from public, anon, authenticated;
grant select (id, conversation_id, owner_id, user_id, channel, pipeline, status, end_reason,
  room_name, instructions, voice_settings, ignored, metadata, agent_state, participants,
  created_at, expires_at, joined_at, started_at, ends_at, ended_at)
  on public.voice_sessions to authenticated;
grant select, insert, update, delete on public.voice_sessions to medbot_app;

-- Numbered by the session without gaps. What a turn says is kept as it was first stored.
create table medbot.voice_turns (
  session_id uuid not null references public.voice_sessions (id) on delete cascade,
  seq bigint not null check (seq >= 1),
  role text not null check (role in ('user', 'assistant')),
  text text not null check (char_length(text) between 1 and 8000),
  interrupted boolean not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  latency jsonb not null,
  citations jsonb not null,
  triage jsonb,
  usage jsonb not null,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (session_id, seq)
);
alter table medbot.voice_turns enable row level security;
create policy turns_of_own on medbot.voice_turns to medbot_app
  using (exists (select from public.voice_sessions s where s.id = session_id))
  with check (medbot.is_service('voice'));
grant select, insert, delete on medbot.voice_turns to medbot_app;

-- The conversation service's own knowledge of the sessions of its conversations: how many turns
-- of each are messages already.
create table medbot.voice_links (
  session_id uuid primary key,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  last_seq bigint not null default 0,
  ended boolean not null default false,
  created_at timestamptz not null default clock_timestamp()
);
create index voice_links_of_conversation on medbot.voice_links (conversation_id);
alter table medbot.voice_links enable row level security;
create policy links_of_own on medbot.voice_links to medbot_app
  using (exists (select from public.conversations c where c.id = conversation_id))
  with check (exists (select from public.conversations c where c.id = conversation_id));
grant select, insert, update, delete on medbot.voice_links to medbot_app;

-- Where a message was spoken; a turn becomes one message, whatever is delivered twice.
alter table public.messages add column voice_session_id uuid, add column voice_seq bigint;
create unique index message_of_turn on public.messages (voice_session_id, voice_seq);
grant select (voice_session_id, voice_seq) on public.messages to authenticated;

-- migrate: rollback
