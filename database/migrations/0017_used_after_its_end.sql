-- What is left of an ended session may say that it was used since.
-- depends: 0016_what_stays_taken

-- migrate: apply

-- A version that knows of no such rows notes a use of every session that it sees, before it looks
-- whether that was ended: it must be able to run beside this schema.
alter table medbot.sessions
  drop constraint only_an_ended_session_is_stripped,
  add constraint only_an_ended_session_is_stripped check (
    num_nulls(created_at, used_at) = 0
    or (num_nonnulls(created_at, network, program) = 0 and ended_at is not null)
  ) not valid;

-- migrate: rollback
