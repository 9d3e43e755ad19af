// A statement of ours: its text, what it is given, and the shape of its rows. Files named `*-sql.ts` make them, one beside each file
// that runs some. No other file has SQL, or reads the rows of a result: test/store/postgres/statements.test.ts.
//
// Rows are checked when they arrive: a column that is missing or of another type (an altered table, a type parser of the program's)
// is an error that names it, not a wrong value later.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { checked, object, type Shape } from '../../../base/json.ts';
import { own } from '../../../base/own.ts';
import type { TransactionClient } from '../../../store/store.ts';
import { filled } from './filled.ts';

type Client = Pick<pg.ClientBase, 'query'>;

/** For a statement that takes no values, or whose rows have no columns that matter. */
export type Nothing = Readonly<Record<never, never>>;

export const noColumns: Shape<Nothing> = object<Nothing>({});

/** One query of one or more statements whose results do not matter: settings, savepoints. */
export async function execute(client: Client, text: string): Promise<void> {
  await client.query(text);
}

/** Several statements sent as one query: the result of each. */
export async function executeEach(client: Client, text: string): Promise<pg.QueryResult<object>[]> {
  const results: unknown = await client.query(text);
  return results as pg.QueryResult<object>[]; // the library's types know one statement a query
}

export class Statement<Given extends object, Row extends object> {
  readonly text: string;
  private readonly what: string;
  private readonly names: readonly (keyof Given & string)[];
  private readonly row: Shape<Row>;

  /** `what`: a row, as an error names it. `names`: of the values $1, $2, …, in this order. */
  constructor(what: string, text: string, names: readonly (keyof Given & string)[], row: Shape<Row>) {
    this.what = what;
    this.text = text;
    this.names = names;
    this.row = row;
  }

  /** @throws RecordInvalid */
  async run(client: Client, given: Given): Promise<Row[]> {
    return this.rowsIn(await this.send(client, given));
  }

  /** For a statement that always gives one row. @throws RecordInvalid */
  async one(client: Client, given: Given): Promise<Row> {
    return this.oneIn(await this.send(client, given));
  }

  /** The same on a client of the user's. `name`: the server keeps the statement by it; undefined: it does not. @throws RecordInvalid */
  async oneOfUsers(client: TransactionClient, given: Given, name?: string): Promise<Row> {
    return this.oneIn(
      await client.query({ ...(name !== undefined && { name }), text: this.text, values: this.values(given) }),
    );
  }

  /** How many rows it has written or found, whose columns do not matter. */
  async count(client: Client, given: Given): Promise<number> {
    return (await this.send(client, given)).rowCount ?? 0;
  }

  /** Its text with the values in it: for a query of several statements, which takes none. */
  filledWith(given: Given): string {
    return filled(
      this.text,
      this.names.map((name) => own(given, name)),
    );
  }

  /** Of its result among those of several statements that were sent as one query. @throws RecordInvalid */
  rowsIn({ rows }: Pick<pg.QueryResult<object>, 'rows'>): Row[] {
    return rows.map((row) => checked(row, this.row, this.what));
  }

  /** @throws RecordInvalid */
  oneIn(result: Pick<pg.QueryResult<object>, 'rows'>): Row {
    const [row, ...others] = this.rowsIn(result);
    if (row !== undefined && others.length === 0) return row;
    const reason = `must be one row, and is ${result.rows.length}`;
    throw new TrunklineError('RecordInvalid', { what: this.what, reason });
  }

  protected send(client: Client, given: Given): Promise<pg.QueryResult<object>> {
    return client.query(this.text, this.values(given));
  }

  protected values(given: Given): unknown[] {
    return this.names.map((name) => own(given, name));
  }
}

/** One on a user's columns, whose names may be any, and the same as ours: a row is a list, in the order of the statement. */
export class ListStatement<Given extends object, Row extends readonly unknown[]> extends Statement<Given, Row> {
  protected override send(client: Client, given: Given): Promise<pg.QueryResult<object>> {
    return client.query<unknown[]>({ text: this.text, values: this.values(given), rowMode: 'array' });
  }
}
