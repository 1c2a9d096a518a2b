-- The place for which a voice session names emergency numbers.
-- depends: 0014_open_turns

-- migrate: apply

alter table public.voice_sessions
  add column locale text not null default 'en-GB' check (length(locale) between 1 and 35);

-- migrate: rollback
