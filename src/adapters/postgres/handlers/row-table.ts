// A table of the user's own, as a projection reads and writes it: one row a key, the row's fields in columns of their names.
// PostgreSQL itself turns JSON into the columns' types and back, so any type will do that has a JSON form.
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { checkDepth, userJson } from '../../../base/json.ts';
import { DEPTH_LIMIT } from '../../../base/json-depth.ts';
import { own } from '../../../base/own.ts';
import type { ProjectionTable } from '../../../projections/projection.ts';
import type { RangeOptions } from '../../../subscriptions/reading-options.ts';
import { deepFreeze } from '../../../wire/payload.ts';
import type { PageSize } from '../session/page-size.ts';
import { execute } from '../session/statement.ts';
import { byPages } from './row-pages.ts';
import {
  anyRowStatement,
  type Columns,
  copyAll,
  createSql,
  deleteAll,
  deleteStatement,
  dropSql,
  lockTableSql,
  markStatement,
  quotedTable,
  type RowPlace,
  rangeStatement,
  readStatement,
  upsertStatement,
} from './row-table-sql.ts';
import { placeOf } from './table-place.ts';

type Client = Pick<pg.ClientBase, 'query'>;

/** What a key stands for. */
export interface Found<Row> {
  /** The key of the row that it names, as the column prints it: the same for all keys that the column takes for equal. */
  readonly key: string;
  /** undefined: there is none yet. */
  readonly row: Row | undefined;
}

/** Whose rows are built: names of tables are derived from this. */
export interface RowsOwner {
  readonly logId: string;
  readonly projection: string;
}

/** Rows of a batch that have the same fields. */
interface RowGroup {
  /** The fields in the order of the row that was looked at last, the key's among them. */
  readonly given: readonly string[];
  /** Without the key's, sorted. */
  readonly fields: readonly string[];
  readonly keys: string[];
  /** As JSON, in the order of their keys. */
  readonly rows: string[];
}

// Tables of ours beside the user's: a name by a hash, so that long names cannot fall together within the server's 63 bytes,
// and a comment that says whose it is. What lacks that comment is never dropped.
const nameStart = 'trunkline_rows_';
const hashLength = 32;
const markStart = 'trunkline: rows that are built, for [log, projection, schema, table, generation]';

/** How the comments of all tables begin in which rows of this projection are built. */
export const builtMark = ({ logId, projection }: RowsOwner): string =>
  `${markStart} ${JSON.stringify([logId, projection]).slice(0, -1)},`;

interface RowTableFields<Row> extends Columns {
  readonly schema: string;
  readonly plainName: string;
  readonly init: (key: string) => Row;
  readonly mark: string | undefined;
}

export class RowTable<Row> {
  /** With its schema, quoted. */
  readonly name: string;
  private readonly schema: string;
  private readonly plainName: string;
  private readonly place: RowPlace;
  private readonly known: ReadonlySet<string>;
  private readonly init: (key: string) => Row;
  /** The comment of a table that is built beside the user's own. */
  private readonly mark: string | undefined;

  private constructor({ schema, plainName, key, columns, init, mark }: RowTableFields<Row>) {
    this.schema = schema;
    this.plainName = plainName;
    this.name = quotedTable(schema, plainName);
    this.place = { table: this.name, key, columns };
    this.known = new Set(columns);
    this.init = init;
    this.mark = mark;
  }

  /** `home`: our own schema. See {@link placeOf}. @throws InvalidOptions, StoreSchemaUnsafe */
  static async find<Row>(
    client: Client,
    into: ProjectionTable,
    init: (key: string) => Row,
    home?: string,
  ): Promise<RowTable<Row>> {
    const { schema, name, key, columns } = await placeOf(client, into, home);
    return new RowTable({ schema, plainName: name, key, columns, init, mark: undefined });
  }

  /**
   * The table in which another generation of rows is built for this one, in its schema; its columns, defaults and indexes
   * are this one's. `owner`: whose rows they are.
   */
  beside(owner: RowsOwner, generation: number): RowTable<Row> {
    const { logId, projection } = owner;
    const parts = [logId, projection, this.schema, this.plainName, generation];
    const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, hashLength);
    const mark = `${markStart} ${JSON.stringify(parts)}; trunkline drops this table`;
    const { schema, init } = this;
    const { key, columns } = this.place;
    return new RowTable({ schema, plainName: `${nameStart}${hash}`, key, columns, init, mark });
  }

  /** Whether the table is there, and one that {@link make} has made. @throws InvalidOptions: it was made by another program */
  async isMade(client: Client): Promise<boolean> {
    const [found] = await markStatement.run(client, { schema: this.schema, name: this.plainName });
    if (found === undefined) return false;
    if (this.mark !== undefined && found.mark === this.mark && found.isOwn) return true;
    const reason = `table '${this.name}' stands where rows are built, and lacks the comment of one that trunkline has made: rename it`;
    throw new TrunklineError('InvalidOptions', { option: 'projection.into', reason });
  }

  /** Again, and empty. */
  async make(client: Client, like: RowTable<Row>): Promise<void> {
    await this.drop(client);
    await execute(client, createSql(this.name, like.name, this.mark!));
  }

  /** Only a table that {@link make} has made. */
  async drop(client: Client): Promise<void> {
    if (await this.isMade(client)) await execute(client, dropSql(this.name));
  }

  /**
   * Before the first rows of a projection come in: whatever the table holds is its user's own, and stays.
   * @throws InvalidOptions: it holds rows
   */
  async refuseRows(client: Client): Promise<void> {
    const { found } = await anyRowStatement(this.name).one(client, {});
    if (!found) return;
    const reason = `table '${this.name}' holds rows, and none that this projection has put there: its first rows come into an empty table; empty this one, or name another`;
    throw new TrunklineError('InvalidOptions', { option: 'projection.into', reason });
  }

  /**
   * Take over all rows of another, and drop that, in the caller's transaction. A reader meanwhile sees the rows as they were
   * before. `isOurs`: the rows that are there are the projection's, and go; otherwise there must be none.
   * @throws InvalidOptions: there are
   */
  async become(client: Client, next: RowTable<Row>, isOurs: boolean, pages: PageSize): Promise<void> {
    // Another writer's rows would be met at the insertion, or missed: none comes in until this transaction ends.
    await execute(client, lockTableSql(this.name));
    if (!isOurs) await this.refuseRows(client);
    if (isOurs) await byPages(client, { ...deleteAll(this.place), pages });
    await byPages(client, { ...copyAll(this.place, next.name), pages });
    await next.drop(client);
  }

  /**
   * What each of these keys stands for, asked by the key itself and compared by the column's own equality: as text a key may
   * come back as another one (`7.0` and `7.00`, a UUID in capitals, a time in another zone, a text in another case).
   */
  async read(client: Client, keys: readonly string[]): Promise<Map<string, Found<Row>>> {
    const rows = await readStatement(this.place).run(client, { keys });
    return new Map(
      rows.map(([place, key, isThere, ...values]) => {
        const given = keys[place - 1]!;
        return [given, { key, row: isThere ? this.rowOf(given, values) : undefined }];
      }),
    );
  }

  /** Rows in the order of their keys' bytes, as many as are asked for; `tell` learns of those that another program has nested too deep. */
  async range(
    client: Client,
    { prefix = '', start = prefix, end, limit }: RangeOptions,
    tell: (key: string, error: unknown) => void,
  ): Promise<{ key: string; row: Row }[]> {
    const statement = rangeStatement(this.place);
    const found: { key: string; row: Row }[] = [];
    for (let from = start; ; ) {
      const wanted = limit === undefined ? undefined : limit - found.length;
      const rows = await statement.run(client, { start: from, prefix, end, limit: wanted });
      for (const [name, ...fields] of rows) {
        try {
          found.push({ key: name, row: this.rowOf(name, fields) });
        } catch (error) {
          if (!isError(error, 'RecordInvalid')) throw error;
          tell(name, error);
        }
      }
      if (rows.length !== wanted || found.length === limit) return found;
      from = `${rows.at(-1)![0]}\u0001`; // the next text: none of PostgreSQL's holds U+0000
    }
  }

  /** undefined: the row goes. A column that a row leaves out gets its default, or stays, whatever other rows have. */
  async write(client: Client, rows: ReadonlyMap<string, Row | undefined>): Promise<void> {
    const groups = new Map<string, RowGroup>(); // by which fields they have
    const gone: string[] = [];
    let group: RowGroup | undefined;
    for (const [key, row] of rows) {
      if (row === undefined) {
        gone.push(key);
        continue;
      }
      if (group === undefined || !hasFields(row, group.given)) group = this.groupOf(row, groups);
      group.keys.push(key);
      group.rows.push(this.jsonOf(row, group));
    }
    for (const { fields, keys, rows } of groups.values()) {
      await upsertStatement(this.place, fields).count(client, { keys, json: `[${rows.join()}]` });
    }
    if (gone.length > 0) await deleteStatement(this.place).count(client, { keys: gone });
  }

  private groupOf(row: Row, groups: Map<string, RowGroup>): RowGroup {
    const given: string[] = [];
    const keyName = this.place.key.name;
    for (const field in row) {
      if (field !== keyName && !this.known.has(field))
        throw new Error(`rows have a field '${field}', and table ${this.name} no such column`);
      given.push(field);
    }
    const fields = given.filter((field) => field !== keyName).sort();
    const signature = fields.join('\0'); // no column's name has one
    const { keys = [], rows = [] } = groups.get(signature) ?? {};
    const group = { given, fields, keys, rows };
    groups.set(signature, group);
    return group;
  }

  /** Without the key's own field, which is written by itself. */
  private jsonOf(row: Row, { given, fields }: RowGroup): string {
    if (given.length === 0) return '{}';
    return JSON.stringify(given.length === fields.length ? row : { ...row, [this.place.key.name]: undefined });
  }

  /** A field that `init` makes text stays text: a decimal keeps its digits. @throws RecordInvalid: no row of ours is so deep */
  private rowOf(key: string, values: readonly (string | null)[]): Row {
    const initial = this.init(key) as Record<string, unknown>;
    const row: Record<string, unknown> = {};
    for (const [i, name] of this.place.columns.entries()) {
      const json = values[i] ?? null;
      if (json === null) {
        row[name] = null;
        continue;
      }
      checkDepth(json, DEPTH_LIMIT, `column '${name}' of row '${key}'`);
      row[name] = typeof own(initial, name) === 'string' && json[0] !== '"' ? json : userJson(json);
    }
    return deepFreeze(row) as Row;
  }
}

/** Whether these are a row's fields, in this order. */
function hasFields(row: unknown, fields: readonly string[]): boolean {
  let i = 0;
  for (const field in row as object) if (field !== fields[i++]) return false;
  return i === fields.length;
}
