// A table of the user's own, as a projection reads and writes it: one row a key, the row's fields in columns of their names.
// PostgreSQL itself turns JSON into the columns' types and back, so any type will do that has a JSON form.

import { createHash } from 'node:crypto';
import pg from 'pg';
import { TrunklineError } from '../../errors.ts';
import { own } from '../../own.ts';
import { deepFreeze } from '../../payload.ts';
import type { PageSize } from '../../store/postgres/page-size.ts';
import type { ProjectionTable } from '../projection.ts';
import type { RangeOptions } from '../reading-options.ts';
import { byPages } from './row-pages.ts';

interface Column {
  readonly name: string;
  readonly type: string;
  /** ` collate …`; '' where it is the type's. */
  readonly collation: string;
}

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

// Tables of ours beside the user's: a name by a hash, so that long names cannot fall together within the server's 63 bytes,
// and a comment that says whose it is. What lacks that comment is never dropped.
const nameStart = 'trunkline_rows_';
const hashLength = 32;
const markStart = 'trunkline: rows that are built, for [log, projection, schema, table, generation]';

/** How the comments of all tables begin in which rows of this projection are built. */
export const builtMark = ({ logId, projection }: RowsOwner): string =>
  `${markStart} ${JSON.stringify([logId, projection]).slice(0, -1)},`;

export class RowTable<Row> {
  /** With its schema, quoted. */
  readonly name: string;
  private readonly schema: string;
  private readonly plainName: string;
  private readonly key: Column;
  private readonly columns: readonly Column[];
  private readonly known: ReadonlySet<string>;
  private readonly init: (key: string) => Row;
  /** The comment of a table that is built beside the user's own. */
  private readonly mark: string | undefined;

  private constructor(
    schema: string,
    plainName: string,
    key: Column,
    columns: readonly Column[],
    init: (key: string) => Row,
    mark?: string,
  ) {
    this.schema = schema;
    this.plainName = plainName;
    this.name = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(plainName)}`;
    this.key = key;
    this.columns = columns;
    this.known = new Set(columns.map(({ name }) => name));
    this.init = init;
    this.mark = mark;
  }

  /** @throws InvalidOptions: there is no such table, or none that rows can be kept in by their key */
  static async find<Row>(client: Client, into: ProjectionTable, init: (key: string) => Row): Promise<RowTable<Row>> {
    const { table, keyColumn = 'key' } = into;
    const invalid = (fault: string): never => {
      const reason = `table '${table}': ${fault}`;
      throw new TrunklineError('InvalidOptions', { option: 'projection.into', reason });
    };
    const { rows: found } = await client.query(
      `select c.oid, n.nspname as schema, c.relname as name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where c.oid = pg_catalog.to_regclass($1) and c.relkind in ('r', 'p')`,
      [table],
    );
    const place = found[0] ?? invalid('there is no table of this name');
    const { rows: columns } = await client.query(
      // Texts without their length: a cast would cut in silence what the column refuses. Numbers and times are rounded by both.
      `select attname as name,
         pg_catalog.format_type(atttypid, case when t.typcategory in ('S', 'V') then -1 else atttypmod end) as type,
         coalesce((select pg_catalog.format(' collate %I.%I', n.nspname, c.collname) from pg_catalog.pg_collation c
           join pg_catalog.pg_namespace n on n.oid = c.collnamespace
           where c.oid = attcollation and c.collname <> 'default'), '') as collation
       from pg_catalog.pg_attribute join pg_catalog.pg_type t on t.oid = atttypid
       where attrelid = $1 and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
      [place.oid],
    );
    const key = (columns as Column[]).find(({ name }) => name === keyColumn);
    if (key === undefined) return invalid(`has no column '${keyColumn}'; name the key's by keyColumn`);
    const { rowCount } = await client.query(
      `select from pg_catalog.pg_index i join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
       where i.indrelid = $1 and i.indisunique and i.indnkeyatts = 1 and i.indpred is null and a.attname = $2`,
      [place.oid, keyColumn],
    );
    if (rowCount === 0) invalid(`column '${keyColumn}' must be a primary key, or unique`);
    const others = (columns as Column[]).filter((column) => column !== key);
    return new RowTable(place.schema, place.name, key, others, init);
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
    return new RowTable(this.schema, `${nameStart}${hash}`, this.key, this.columns, this.init, mark);
  }

  /** Whether the table is there, and one that {@link make} has made. @throws InvalidOptions: it is somebody else's */
  async isMade(client: Client): Promise<boolean> {
    const { rows } = await client.query(
      `select pg_catalog.obj_description(c.oid, 'pg_class') as mark from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2`,
      [this.schema, this.plainName],
    );
    if (rows.length === 0) return false;
    if (this.mark !== undefined && rows[0].mark === this.mark) return true;
    const reason = `table '${this.name}' stands where rows are built, and lacks the comment of one that trunkline has made: rename it`;
    throw new TrunklineError('InvalidOptions', { option: 'projection.into', reason });
  }

  /** Anew, and empty. */
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
    const columns = [this.key, ...this.columns].map(({ name }) => pg.escapeIdentifier(name)).join();
    const size = { key, keyType: this.key.type, pages };
    if (isOurs) {
      const gone = `delete from ${this.name} t using page where t.${key} = page.${key}`;
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
    const { rows } = await client.query<any[]>({
      text: `with wanted as (select place, given::${this.key.type}${this.key.collation} as value
          from pg_catalog.unnest($1::text[]) with ordinality as w (given, place))
        select place, coalesce(t.${key}, pg_catalog.first_value(value) over (partition by value order by place))::text,
          t.${key} is not null, ${this.selected('t.')} from wanted left join ${this.name} t on t.${key} = value`,
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

  /** Rows in the order of their keys' bytes. */
  async range(
    client: Client,
    { prefix = '', start = prefix, end, limit }: RangeOptions,
  ): Promise<{ key: string; row: Row }[]> {
    const key = `${pg.escapeIdentifier(this.key.name)}::text collate "C"`;
    const sql = `${this.select()} where ${key} >= $1 and pg_catalog.starts_with(${key}, $2) and ($3::text is null or ${key} < $3)
      order by ${key} limit $4`;
    const values = [start, prefix, end, limit];
    const { rows } = await client.query<any[]>({ text: sql, values, rowMode: 'array' });
    return rows.map(([name, ...values]: string[]) => ({ key: name!, row: this.rowOf(name!, values) }));
  }

  /** undefined: the row goes. A column that a row leaves out gets its default, or stays, whatever other rows have. */
  async write(client: Client, rows: ReadonlyMap<string, Row | undefined>): Promise<void> {
    const kept = new Map<string, { fields: string[]; rows: object[] }>(); // by which fields they have
    const gone: string[] = [];
    for (const [key, row] of rows) {
      if (row === undefined) {
        gone.push(key);
        continue;
      }
      const fields = this.fieldsOf(row);
      const signature = fields.join('\0'); // no column's name has one
      const group = kept.get(signature);
      if (group === undefined) kept.set(signature, { fields, rows: [{ ...row, [this.key.name]: key }] });
      else group.rows.push({ ...row, [this.key.name]: key });
    }
    for (const { fields, rows } of kept.values()) await client.query(this.upsert(fields), [JSON.stringify(rows)]);
    if (gone.length === 0) return;
    const sql = `delete from ${this.name} where ${pg.escapeIdentifier(this.key.name)} = any($1::text[]::${this.key.type}[])`;
    await client.query(sql, [gone]);
  }

  /** Sorted. */
  private fieldsOf(row: Row): string[] {
    const fields: string[] = [];
    for (const field in row) {
      if (field === this.key.name) continue;
      if (!this.known.has(field))
        throw new Error(`rows have a field '${field}', and table ${this.name} no such column`);
      fields.push(field);
    }
    return fields.sort();
  }

  private upsert(fields: readonly string[]): string {
    const key = pg.escapeIdentifier(this.key.name);
    const columns = fields.map((field) => pg.escapeIdentifier(field));
    const all = [key, ...columns].join();
    const changes = columns.map((column) => `${column} = excluded.${column}`).join();
    return `insert into ${this.name} (${all}) select ${all} from pg_catalog.json_populate_recordset(null::${this.name}, $1)
      on conflict (${key}) do ${changes === '' ? 'nothing' : `update set ${changes}`}`;
  }

  private select(): string {
    return `select ${pg.escapeIdentifier(this.key.name)}::text, ${this.selected('')} from ${this.name}`;
  }

  private selected(table: string): string {
    const columns = this.columns.map(({ name }) => `pg_catalog.to_json(${table}${pg.escapeIdentifier(name)})::text`);
    return columns.join() || 'null';
  }

  /** A field that `init` makes text stays text: a decimal keeps its digits. */
  private rowOf(key: string, values: readonly (string | null)[]): Row {
    const initial = this.init(key) as Record<string, unknown>;
    const row: Record<string, unknown> = {};
    for (const [i, { name }] of this.columns.entries()) {
      const json = values[i] ?? null;
      if (json === null) row[name] = null;
      else row[name] = typeof own(initial, name) === 'string' && json[0] !== '"' ? json : JSON.parse(json);
    }
    return deepFreeze(row) as Row;
  }
}
