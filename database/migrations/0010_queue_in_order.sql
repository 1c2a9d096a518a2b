-- A queue is read from its oldest event on, however many wait behind it.
-- depends: 0003_accounts

-- migrate: apply

create index queue_in_order on medbot.queue (queue, id);
drop index medbot.queue_next;

-- migrate: rollback
