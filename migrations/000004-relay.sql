-- The relay without anything that only a session knows: a pooler that lends connections by the transaction may stand
-- between. Which runtime relays is a row; each claim names that row's session, under its lock.

-- The one relay of this schema. A claim counts only while `session` is still the one that makes it; another runtime takes
-- over once `seen_at` is too old (or lies in the future: the server's clock has been set back).
create table outbox_relay (
  is_only boolean     primary key default true check (is_only),
  log_id  text,
  session uuid,
  seen_at timestamptz not null default '-infinity'
);
insert into outbox_relay default values;

-- position: the claimed event is in its log before this position, and stored; the row stays until everything else that
-- reads that log (the stream, sinks) has passed it. Until then no other log gets later events of the same aggregate.
-- refused: why no log can take the event. The row stays, with its event, for an operator to look at.
alter table outbox
  add column position bigint,
  add column refused  text;

create index idx_outbox_waiting on outbox (sequence) where log_id is null and refused is null;
create index idx_outbox_log on outbox (log_id) where log_id is not null;
create index idx_outbox_refused on outbox (sequence) where refused is not null;
