// Projections: rows folded from events. What a user says of one, and may ask of it; where its rows lie is the matter of
// `local-projection.ts` and of a store's adapter.

import { checkAggregate, checkId, checkInteger, checkTypeList, nameFault } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checked, number, object, optional, text } from '../base/json.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { shown } from '../base/shown.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import type { AggregateLike, EventNameOf, EventsNamed } from '../model/aggregate.ts';
import type { SubscriptionStatus } from '../subscriptions/handlers.ts';
import type { RangeOptions, WaitOptions } from '../subscriptions/reading-options.ts';
import type { DeliveredFields } from '../wire/carried.ts';

/** A table of yours in the store's database, for the rows of a projection. You make it, and may index, read and join it as you like. */
export interface ProjectionTable {
  /**
   * With its schema: `reports.daily`; a name alone is looked up on the role's search path, once. It belongs to a role that is
   * trusted with yours, else `StoreSchemaUnsafe`. Columns have the names of the row's fields.
   */
  table: string;
  /** The column of the row's key, a primary key or unique, of any type that the key's text can be; default `key`. */
  keyColumn?: string | undefined;
  /** Most events of one transaction, 1 to 100,000; default 2,000. */
  batchEvents?: number | undefined;
  /**
   * Rows that are remembered rather than read again for the next batch, 0 to 10,000,000; default 20,000. Columns must
   * therefore hold what fields say: `apply` sees what one has rounded only when the row is read again.
   */
  cachedRows?: number | undefined;
}

/** What a projection is made of; see {@link defineProjection}. */
export interface ProjectionDefinition<Row, A extends AggregateLike = any, T extends EventNameOf<A> = EventNameOf<A>> {
  /** 1 to 80 bytes. */
  name: string;
  /** Raise it when `key`, `init` or `apply` have changed: the rows are built again. 1 to 1,000,000,000; default 1. */
  version?: number | undefined;
  /** Event types; none: all. With `aggregates` by definition, the events that `key` and `apply` get are narrowed by them. */
  events?: readonly T[] | undefined;
  aggregates?: readonly A[] | undefined;
  /** Which row, or rows, an event is about; undefined: none. Default: the aggregate's id. */
  key?: (event: EventsNamed<A, T>) => string | readonly string[] | undefined;
  /** A row that is not there yet. Rows go through JSON: a field that is a time is text. */
  init: (key: string) => Row;
  /** The next row; undefined: it goes. Pure: rows are frozen. */
  apply: (row: Row, event: EventsNamed<A, T>, key: string) => Row | undefined;
  /**
   * `lmdb` (default): kept on this machine's disk. `memory`: folded again at each start. A table: with a store that has tables of yours,
   * rows are written in the transaction that moves the position. While they are built they are in a table beside (which
   * takes the right to create it), and come into yours in one transaction when they have caught up. Fields that `init`
   * makes text come back as text: decimals keep their digits.
   */
  into?: 'lmdb' | 'memory' | ProjectionTable | undefined;
}

export const projectionTable = 'projections';
/** Where rows of a projection are kept on this machine: key by key, behind the number of their generation. */
export const rowTable = (name: string): string => `rows:${name}`;
const nameBytesLimit = 80;
const tableBytesLimit = 1024; // a schema and a table, quoted

/** Which rows they are: of which version of the definition, and built how manyth. */
export interface Generation {
  version: number;
  generation: number;
  /** The user's table that holds them, with its schema, quoted; undefined: on this machine, or an earlier release has kept it. */
  table?: string;
}

/** What is kept of a projection: the rows that are shown, and those that are being built. */
export interface KeptProjection {
  shown?: Generation;
  building?: Generation;
}

const generation = object<Generation>({ version: number, generation: number, table: optional(text) });
const keptProjection = object<KeptProjection>({ shown: optional(generation), building: optional(generation) });

/** @throws RecordInvalid */
export const keptProjectionOf = (value: unknown, name: string): KeptProjection =>
  checked(value, keptProjection, `what is kept of projection '${name}'`);

export const subscriptionName = (name: string, generation: number): string =>
  `${PROJECTION_PREFIX}${name}#${generation}`;

const definitionFields = fieldsOf<ProjectionDefinition<unknown>>({
  name: 'text',
  version: true,
  events: 'list',
  aggregates: 'list',
  key: true,
  init: true,
  apply: true,
  into: true,
});

const tableFields = fieldsOf<ProjectionTable>({
  table: 'text',
  keyColumn: 'text',
  batchEvents: true,
  cachedRows: true,
});

/** Checks a definition, and gives it its type. @throws InvalidOptions */
export function defineProjection<
  Row extends DeliveredFields<Row>,
  const A extends AggregateLike = any,
  const T extends EventNameOf<A> = EventNameOf<A>,
>(definition: ProjectionDefinition<Row, A, T>): ProjectionDefinition<Row, A, T> {
  checkFields('projection', definition, definitionFields);
  const { name, version = 1, init, apply, key, into = 'lmdb' } = definition;
  const invalid = (option: string, value: unknown, reason: string): never => {
    throw new TrunklineError('InvalidOptions', { option: `projection.${option}`, value: shown(value), reason });
  };
  const fault = nameFault(name, nameBytesLimit);
  if (fault !== undefined) invalid('name', name, fault);
  if (definition.events !== undefined) {
    checkTypeList('projection.events', definition.events, 'leave it out for all');
    for (const type of definition.events) checkId('event type', type);
  }
  for (const aggregate of definition.aggregates ?? []) checkAggregate(aggregate);
  checkInteger('projection.version', version, 1, 1_000_000_000);
  if (typeof init !== 'function') invalid('init', init, 'must be a function');
  if (key !== undefined && typeof key !== 'function') invalid('key', key, 'must be a function');
  if (typeof apply !== 'function') invalid('apply', apply, 'must be a function');
  if (typeof into === 'object' && into !== null) {
    checkFields('projection.into', into, tableFields);
    const tableFault = nameFault(into.table, tableBytesLimit);
    if (tableFault !== undefined) invalid('into.table', into.table, tableFault);
    checkInteger('projection.into.batchEvents', into.batchEvents ?? 1, 1, 100_000);
    checkInteger('projection.into.cachedRows', into.cachedRows ?? 1, 0, 10_000_000);
  } else if (into !== 'lmdb' && into !== 'memory') {
    invalid('into', into, "must be 'lmdb', 'memory' or { table }");
  }
  return definition;
}

/** A running projection; made by `runtime.project`. */
export interface Projection<Row> {
  readonly name: string;
  /** The row under a key; undefined if there is none. Frozen. */
  get(key: string): Promise<Row | undefined>;
  /** Rows in the order of their keys' bytes: from `start` on, before `end`, beginning with `prefix`. */
  entries(range?: RangeOptions): Promise<{ key: string; row: Row }[]>;
  /**
   * Resolves when the rows that are shown hold everything up to this receipt (or position): read your own writes.
   * @throws CaughtUpTimedOut
   */
  caughtUpTo(target: number | { readonly position: number }, options?: WaitOptions): Promise<void>;
  /** Build the rows again beside those that are shown, and show them when they have caught up. Resolves then. */
  rebuild(): Promise<void>;
  /** Of the rows that are shown, or are about to be. */
  status(): SubscriptionStatus & { version: number; isRebuilding: boolean };
  /** End it in this run; rows and checkpoint stay. */
  close(): Promise<void>;
}
