// A table of the user's own, as a projection reads and writes it: one row a key, the row's fields in columns of their names.
// PostgreSQL itself turns JSON into the columns' types and back, so any type will do that has a JSON form.
//
// The statements run by the search_path of the role, which the table's own triggers may count on: so each operator and type is
// named with its schema here (own-path.ts).

import { createHash } from 'node:crypto';
import pg from 'pg';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { checkDepth, userJson } from '../../../base/json.ts';
import { DEPTH_LIMIT } from '../../../base/json-depth.ts';
import { own } from '../../../base/own.ts';
import type { ProjectionTable } from '../../../projections/projection.ts';
import type { RangeOptions } from '../../../subscriptions/reading-options.ts';
import { deepFreeze } from '../../../wire/payload.ts';
import type { PageSize } from '../session/page-size.ts';
import { byPages } from './row-pages.ts';
import { type KeyColumn, placeOf } from './table-place.ts';

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

interface RowTableFields<Row> {
  readonly schema: string;
  readonly plainName: string;
  readonly key: KeyColumn;
  readonly columns: readonly string[];
  readonly init: (key: string) => Row;
  readonly mark: string | undefined;
}

export class RowTable<Row> {
  /** With its schema, quoted. */
  readonly name: string;
  private readonly schema: string;
  private readonly plainName: string;
  private readonly key: KeyColumn;
  /** All but the key's. */
  private readonly columns: readonly string[];
  private readonly known: ReadonlySet<string>;
  private readonly init: (key: string) => Row;
  /** The comment of a table that is built beside the user's own. */
  private readonly mark: string | undefined;

  private constructor({ schema, plainName, key, columns, init, mark }: RowTableFields<Row>) {
    this.schema = schema;
    this.plainName = plainName;
    this.name = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(plainName)}`;
    this.key = key;
    this.columns = columns;
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
    const { schema, key, columns, init } = this;
    return new RowTable({ schema, plainName: `${nameStart}${hash}`, key, columns, init, mark });
  }

  /** Whether the table is there, and one that {@link make} has made. @throws InvalidOptions: it was made by another program */
  async isMade(client: Client): Promise<boolean> {
    const { rows } = await client.query(
      `select pg_catalog.obj_description(c.oid, 'pg_class') as mark, pg_catalog.pg_has_role(c.relowner, 'usage') as is_own
       from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
       where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) $2`,
      [this.schema, this.plainName],
    );
    if (rows.length === 0) return false;
    if (this.mark !== undefined && rows[0].mark === this.mark && rows[0].is_own) return true;
    const reason = `table '${this.name}' stands where rows are built, and lacks the comment of one that trunkline has made: rename it`;
    throw new TrunklineError('InvalidOptions', { option: 'projection.into', reason });
  }

  /** Again, and empty. */
  async make(client: Client, like: RowTable<Row>): Promise<void> {
    await this.drop(client);
    await client.query(`create table ${this.name} (like ${like.name} including all)`);
    await client.query(`comment on table ${this.name} is ${pg.escapeLiteral(this.mark!)}`);
  }

  /** Only a table that {@link make} has made. */
  async drop(client: Client): Promise<void> {
    if (await this.isMade(client)) await client.query(`drop table ${this.name}`);
  }

  /**
   * Before the first rows of a projection come in: whatever the table holds is its user's own, and stays.
   * @throws InvalidOptions: it holds rows
   */
  async refuseRows(client: Client): Promise<void> {
    const { rows } = await client.query(`select exists (select from ${this.name}) as found`);
    if (!rows[0].found) return;
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
    await client.query(`lock table ${this.name} in share row exclusive mode`);
    if (!isOurs) await this.refuseRows(client);
    const key = pg.escapeIdentifier(this.key.name);
    const columns = [this.key.name, ...this.columns].map((name) => pg.escapeIdentifier(name)).join();
    const { type: keyType, equals, less, greater } = this.key;
    const size = { key, keyType, less, greater, pages };
    if (isOurs) {
      const gone = `delete from ${this.name} t using page where t.${key} ${equals} page.${key}`;
      await byPages(client, { ...size, from: this.name, columns: key, work: gone });
    }
    const put = `insert into ${this.name} (${columns}) overriding system value select ${columns} from page`;
    await byPages(client, { ...size, from: next.name, columns, work: put });
    await next.drop(client);
  }

  /**
   * What each of these keys stands for, asked by the key itself and compared by the column's own equality: as text a key may
   * come back as another one (`7.0` and `7.00`, a UUID in capitals, a time in another zone, a text in another case).
   */
  async read(client: Client, keys: readonly string[]): Promise<Map<string, Found<Row>>> {
    const key = pg.escapeIdentifier(this.key.name);
    const { type, collation, equals } = this.key;
    const { rows } = await client.query<any[]>({
      text: `with wanted as (select place, given::${type}${collation} as value
          from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as w (given, place))
        select w.place, coalesce(t.${key}, pg_catalog.first_value(w.value) over (partition by w.value order by w.place))::pg_catalog.text,
          t.${key} is not null, ${this.selected('t.')} from wanted w left join ${this.name} t on t.${key} ${equals} w.value`,
      values: [keys],
      rowMode: 'array',
    });
    return new Map(
      rows.map(([place, name, isThere, ...values]: any[]) => {
        const given = keys[Number(place) - 1]!;
        return [given, { key: name, row: isThere ? this.rowOf(given, values) : undefined }];
      }),
    );
  }

  /** Rows in the order of their keys' bytes, as many as are asked for; `tell` learns of those that another program has nested too deep. */
  async range(
    client: Client,
    { prefix = '', start = prefix, end, limit }: RangeOptions,
    tell: (key: string, error: unknown) => void,
  ): Promise<{ key: string; row: Row }[]> {
    const key = `${pg.escapeIdentifier(this.key.name)}::pg_catalog.text collate pg_catalog."C"`;
    const sql = `${this.select()} where ${key} operator(pg_catalog.>=) $1 and pg_catalog.starts_with(${key}, $2)
        and ($3::pg_catalog.text is null or ${key} operator(pg_catalog.<) $3)
      order by ${key} limit $4`;
    const found: { key: string; row: Row }[] = [];
    for (let from = start; ; ) {
      const wanted = limit === undefined ? undefined : limit - found.length;
      const values = [from, prefix, end, wanted];
      const { rows } = await client.query<any[]>({ text: sql, values, rowMode: 'array' });
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
      await client.query(this.upsert(fields), [keys, `[${rows.join()}]`]);
    }
    if (gone.length === 0) return;
    const { name, type, collation, equals } = this.key;
    const sql = `delete from ${this.name} t
      using (select given::${type}${collation} as value from pg_catalog.unnest($1::pg_catalog.text[]) as w (given)) as w
      where t.${pg.escapeIdentifier(name)} ${equals} w.value`;
    await client.query(sql, [gone]);
  }

  private groupOf(row: Row, groups: Map<string, RowGroup>): RowGroup {
    const given: string[] = [];
    for (const field in row) {
      if (field !== this.key.name && !this.known.has(field))
        throw new Error(`rows have a field '${field}', and table ${this.name} no such column`);
      given.push(field);
    }
    const fields = given.filter((field) => field !== this.key.name).sort();
    const signature = fields.join('\0'); // no column's name has one
    const { keys = [], rows = [] } = groups.get(signature) ?? {};
    const group = { given, fields, keys, rows };
    groups.set(signature, group);
    return group;
  }

  /** Without the key's own field, which is written by itself. */
  private jsonOf(row: Row, { given, fields }: RowGroup): string {
    if (given.length === 0) return '{}';
    return JSON.stringify(given.length === fields.length ? row : { ...row, [this.key.name]: undefined });
  }

  /** A key is made from its text by the cast that {@link read} uses: JSON makes another one of some texts, in a jsonb column. */
  private upsert(fields: readonly string[]): string {
    const { name, type, collation } = this.key;
    const key = pg.escapeIdentifier(name);
    const columns = fields.map((field) => pg.escapeIdentifier(field));
    const changes = columns.map((column) => `${column} = excluded.${column}`).join();
    const given = this.nameBeside;
    const values = [`w.${given}::${type}${collation}`, ...columns.map((column) => `w.${column}`)].join();
    return `insert into ${this.name} (${[key, ...columns].join()}) select ${values}
      from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.json_populate_recordset(null::${this.name}, $2)) as w (${given})
      on conflict (${key}) do ${changes === '' ? 'nothing' : `update set ${changes}`}`;
  }

  /** Of a column that the table has none of. */
  private get nameBeside(): string {
    let name = 'trunkline_key';
    while (this.known.has(name) || name === this.key.name) name += '_';
    return name;
  }

  private select(): string {
    return `select ${pg.escapeIdentifier(this.key.name)}::pg_catalog.text, ${this.selected('')} from ${this.name}`;
  }

  private selected(table: string): string {
    const columns = this.columns.map(
      (name) => `pg_catalog.to_json(${table}${pg.escapeIdentifier(name)})::pg_catalog.text`,
    );
    return columns.join() || 'null';
  }

  /** A field that `init` makes text stays text: a decimal keeps its digits. @throws RecordInvalid: no row of ours is so deep */
  private rowOf(key: string, values: readonly (string | null)[]): Row {
    const initial = this.init(key) as Record<string, unknown>;
    const row: Record<string, unknown> = {};
    for (const [i, name] of this.columns.entries()) {
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
