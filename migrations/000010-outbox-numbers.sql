-- Numbers in the outbox that all who read them can carry: JavaScript's are exact up to 2^53 - 1. A row beyond can only come from
-- a role that writes the table itself. A log would write its number down as another one, which the server then refuses, and
-- neither the relay nor the flush of that log would go on.
update outbox set refused = 'its number is beyond 2^53 - 1, or below 1' where refused is null
  and not (sequence between 1 and 9007199254740991 and coalesce(batch, 1) between 1 and 9007199254740991);

alter table outbox add constraint outbox_numbers check (
  sequence between 1 and 9007199254740991
  and batch between 1 and 9007199254740991
  and position between 0 and 9007199254740991
) not valid;
