-- A turn has its row from the moment when some of it was heard, and is open until it is over.
-- depends: 0013_caps_and_keys

-- migrate: apply

alter table medbot.voice_turns add column open boolean not null default false;
create index voice_turns_open on medbot.voice_turns (session_id) where open;
grant update (text, interrupted, ended_at, latency, citations, triage, usage, open, recorded_at)
  on medbot.voice_turns to medbot_app;

-- migrate: rollback
