-- Whether a type's door is known to have been closed before any transaction came through. A runtime registers its actors' types at
-- once, and only then waits for transactions that had looked before. A second one that starts meanwhile finds the type registered:
-- it must not go on as if that were settled, since the first may yet have to take the type back.
alter table actor_types add column is_settled boolean not null default true;
alter table actor_types alter column is_settled set default false;
