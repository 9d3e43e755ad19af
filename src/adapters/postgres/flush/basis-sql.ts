// The statement of answers without events. `schema`: quoted.
import { nullable, number, object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

interface Given {
  types: readonly string[];
  ids: readonly string[];
  versions: readonly number[];
  logId: string;
}

interface Row {
  /** Which of them, from 1. */
  at: number;
  /** null, all three: there is no such aggregate. */
  version: number | null;
  log_id: string | null;
  epoch: string | null;
}

/** Those whose head is not this log's at that version. */
export const staleStatement = (schema: string): Statement<Given, Row> =>
  new Statement(
    'the head of an answer',
    `select at::float8, head.version, log_id, epoch::text as epoch
     from unnest($1::text[], $2::text[], $3::int[]) with ordinality as basis (type, id, version, at)
     left join ${schema}.aggregates head on aggregate_type = type and aggregate_id = id
     where coalesce(head.version, 0) <> basis.version or (head.version is not null and log_id is distinct from $4)`,
    ['types', 'ids', 'versions', 'logId'],
    object<Row>({ at: number, version: nullable(number), log_id: nullable(text), epoch: nullable(text) }),
  );
