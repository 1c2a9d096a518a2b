-- Conversations, whole: replies made again, feedback, summaries, titles, search without accents.
-- depends: 0003_accounts

-- migrate: apply

-- What search compares: no case, no accents, no ligatures, and nothing that reads like markup.
-- A server of ours may have no contrib extension, hence no `unaccent`. Snippets rely on the rule
-- that every character is folded by itself.
create function medbot.folded(said text) returns text
  language sql immutable strict parallel safe
  return replace(replace(replace(replace(lower(translate(
    regexp_replace(normalize(said, nfkd), '[\u0300-\u036f]', '', 'g'),
    'ØøŁłĐđĦħŦŧı<>&', 'OoLlDdHhTti   ')),
    'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');

alter table public.conversations
  drop column words,
  add column words tsvector
    generated always as (to_tsvector('english', medbot.folded(title))) stored,
  add column titled_by text check (titled_by in ('person', 'assistant'));
update public.conversations set titled_by = 'person' where title <> '';
create index conversations_of_guests on public.conversations (updated_at) where user_id is null;

-- A reply made again names the one that it stands for; both answer the same question. Once it has
-- ended well, the older ones name it in turn, and prompts, summaries and search pass them by.
-- `ended_at` is when a message got its last word: a search that goes on looks at nothing younger.
alter table public.messages
  drop column words,
  add column words tsvector
    generated always as (to_tsvector('english', medbot.folded(content))) stored,
  add column replaces uuid references public.messages (id) on delete cascade,
  add column replaced_by uuid references public.messages (id) on delete set null,
  add column ended_at timestamptz not null default clock_timestamp();
create index messages_replacing on public.messages (replaces) where replaces is not null;
create index messages_replaced on public.messages (replaced_by) where replaced_by is not null;
grant select (replaces, replaced_by, ended_at) on public.messages to authenticated;

create table public.message_feedback (
  message_id uuid primary key references public.messages (id) on delete cascade,
  conversation_id uuid not null,
  owner_id uuid not null,
  rating text not null check (rating in ('up', 'down')),
  comment text check (char_length(comment) between 1 and 2000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  foreign key (conversation_id, owner_id)
    references public.conversations (id, owner_id) on update cascade on delete cascade
);
create index message_feedback_of_conversation on public.message_feedback (conversation_id);
create index message_feedback_of_owner on public.message_feedback (owner_id);
alter table public.message_feedback enable row level security;
create policy own_feedback on public.message_feedback for select to medbot_app, authenticated
  using (owner_id = (select auth.uid()));
create policy app_writes_own on public.message_feedback to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('conversation'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('conversation'));
revoke all on public.message_feedback from public, anon, authenticated;
grant select on public.message_feedback to authenticated;
grant select, insert, update, delete on public.message_feedback to medbot_app;

-- The running summary: what the person said that later answers need, each fact with its message,
-- of all messages up to `through_seq`; `prose` where a model has put it into words.
create table public.conversation_summaries (
  conversation_id uuid primary key,
  owner_id uuid not null,
  through_seq bigint not null,
  facts jsonb not null check (jsonb_typeof(facts) = 'array'),
  prose text check (char_length(prose) <= 8000),
  written_by text,
  usage jsonb not null default '[]',
  updated_at timestamptz not null default now(),
  foreign key (conversation_id, owner_id)
    references public.conversations (id, owner_id) on update cascade on delete cascade
);
create index conversation_summaries_of_owner on public.conversation_summaries (owner_id);
alter table public.conversation_summaries enable row level security;
create policy own_summaries on public.conversation_summaries
  for select to medbot_app, authenticated using (owner_id = (select auth.uid()));
create policy app_writes_own on public.conversation_summaries to medbot_app
  using (owner_id = (select auth.uid()) or medbot.is_service('conversation'))
  with check (owner_id = (select auth.uid()) or medbot.is_service('conversation'));
revoke all on public.conversation_summaries from public, anon, authenticated;
grant select on public.conversation_summaries to authenticated;
grant select, insert, update, delete on public.conversation_summaries to medbot_app;

-- Conversations that want a title or a newer summary, and until when somebody is at it.
create table medbot.upkeep (
  conversation_id uuid primary key references public.conversations (id) on delete cascade,
  asked_at timestamptz not null default clock_timestamp(),
  lease_until timestamptz not null default '-infinity',
  attempts integer not null default 0
);
create index upkeep_next on medbot.upkeep (lease_until, asked_at);
alter table medbot.upkeep enable row level security;
create policy upkeep_of_own on medbot.upkeep to medbot_app
  using (exists (select from public.conversations c where c.id = conversation_id))
  with check (exists (select from public.conversations c where c.id = conversation_id));
grant select, insert, update, delete on medbot.upkeep to medbot_app;

-- A guest's keys become a person's; the fingerprints in them stay those of the guest.
alter table medbot.idempotency_keys add column digest_of uuid;
create policy guests_join on medbot.idempotency_keys for update to medbot_app
  using (medbot.is_service('conversation')) with check (medbot.is_service('conversation'));
grant update (owner_id, digest_of) on medbot.idempotency_keys to medbot_app;

-- migrate: rollback
