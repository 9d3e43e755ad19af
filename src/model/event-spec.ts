// How a definition declares an event type: its payload, version by version, and the names that it had before.

import type { StandardSchemaV1 as Schema } from '@standard-schema/spec';
import { nameFault } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, type Fields, fieldsOf } from '../base/known-fields.ts';
import { NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { shown } from '../base/shown.ts';
import type { CarriableFields, Carried } from '../wire/carried.ts';

declare const phantom: unique symbol;

/** What `next` takes beside the function that leads up. */
export interface NextSettings<Old, New> {
  /** From the new version back to the one before: for readers that still want the older one, as a topic of Kafka may. */
  down?: ((data: New) => Old) | undefined;
}

/** What one stored event has become: event types of the same aggregate, each with its payload; the third: the version of that, default 1. */
export type Parts = readonly (readonly [type: string, data: unknown, version?: number])[];

type Upcast = (old: any) => unknown;

/** One version of a payload, as the version before or after it is made from it. */
export interface VersionStep {
  readonly schemaVersion: number;
  readonly schema: Schema | undefined;
  /** From the version before; undefined: the first. */
  readonly up: Upcast | undefined;
  readonly down: Upcast | undefined;
}

/** An event type that was stored once, and from which others are made now. */
export interface SplitSource {
  readonly type: string;
  /** The payload's versions, where they were declared. */
  readonly spec: EventSpec<any, any> | undefined;
  readonly split: (old: any, schemaVersion: number) => Parts;
  /** The version of the declaring event type, for parts of that type that name none. */
  readonly schemaVersion: number;
}

/** What lies behind an event type. */
export interface EventPast {
  /** Ascending, without a gap; the last one is the newest. */
  readonly steps: readonly VersionStep[];
  /** The lowest version that can be read. */
  readonly lowest: number;
  readonly names: readonly string[];
  readonly splits: readonly SplitSource[];
}

/**
 * One event type of an aggregate: its payload's type and, optionally, its validator, its older versions and older names. Each
 * method returns a new declaration and leaves this one as it is.
 */
export interface EventSpec<Input, Output = Input> {
  readonly schema?: Schema<Input, Output> | undefined;
  /** The newest version: the one that `raise` takes and that every reader sees. */
  readonly schemaVersion: number;
  /** @internal */
  readonly past: EventPast;
  readonly [phantom]?: (input: Input) => Output;

  /**
   * The next version, and how its payload is made from this one's. What is stored stays as it is: `up` runs when an event of an
   * older version is read. It is pure and synchronous, and returns what readers of the new version see.
   *
   * ```ts
   * OrderCreated: versions<{ orderId: string; total: string }>()
   *   .next(orderCreatedV2, (old) => ({ ...old, currency: 'USD' }))
   * ```
   * @throws InvalidOptions
   */
  next<Payload extends CarriableFields<Payload>>(
    up: (old: Carried<Output>) => Carried<Payload>,
    settings?: NextSettings<Carried<Output>, Carried<Payload>>,
  ): EventSpec<Payload>;
  next<S extends Schema>(
    schema: S,
    up: (old: Carried<Output>) => Carried<Schema.InferOutput<S>>,
    settings?: NextSettings<Carried<Output>, Carried<Schema.InferOutput<S>>>,
  ): EventSpec<Schema.InferInput<S>, Schema.InferOutput<S>>;
  /** The names that this event type had before: what was stored by them is read by the new one, and filters find it. @throws InvalidOptions */
  renamedFrom(...names: string[]): EventSpec<Input, Output>;
  /**
   * Events of another type that are no longer raised, and what each of them is now: one event or several, also of other types of
   * this aggregate. `old`: the payload as it is stored, or, where its versions are given as `spec`, the newest of them.
   *
   * ```ts
   * AddressGiven: event<Address>().splitFrom('ContactGiven', (old) => [
   *   ['AddressGiven', old.address], ['PhoneGiven', { phone: old.phone }],
   * ])
   * ```
   * @throws InvalidOptions
   */
  splitFrom(type: string, split: (old: any, schemaVersion: number) => Parts): EventSpec<Input, Output>;
  splitFrom<Old>(
    type: string,
    spec: EventSpec<any, Old>,
    split: (old: Carried<Old>, schemaVersion: number) => Parts,
  ): EventSpec<Input, Output>;
  /** Versions up to this one are read no more: an event that has one is an `UnsupportedEventVersion`. @throws InvalidOptions */
  retired(through: number): EventSpec<Input, Output>;
}

/** What `event` takes beside the validator. */
export interface EventSettings {
  /** Version of the payload's shape, 1 to 65535; default 1. Older ones cannot be read: give those by `versions()`. */
  version?: number | undefined;
}

const settingsFields: Fields = fieldsOf<EventSettings>({ version: true });
const nextFields: Fields = fieldsOf<NextSettings<unknown, unknown>>({ down: true });
const LAST_VERSION = 65535;

/**
 * Declare an event type by a validator (any synchronous Standard Schema: zod, valibot, arktype …) or by a type alone.
 *
 * ```ts
 * events: { CallRouted: event(z.object({ trunk: z.string() })), CallFailed: event<{ reason: string }>() }
 * ```
 * @throws InvalidOptions
 */
export function event<Payload extends CarriableFields<Payload>>(
  schema?: undefined,
  settings?: EventSettings,
): EventSpec<Payload>;
export function event<S extends Schema>(
  schema: S,
  settings?: EventSettings,
): EventSpec<Schema.InferInput<S>, Schema.InferOutput<S>>;
export function event(schema?: Schema | undefined, settings: EventSettings = {}): EventSpec<any, any> {
  checkFields('event', settings, settingsFields);
  const { version: schemaVersion = 1 } = settings;
  checkVersion('event.version', schemaVersion);
  checkSchema('event.schema', schema);
  const first: VersionStep = { schemaVersion, schema, up: undefined, down: undefined };
  return declared({ steps: [first], lowest: schemaVersion, names: [], splits: [] });
}

/**
 * Declare an event type whose payload has changed: its first version, behind which `.next(…)` gives each later one.
 *
 * ```ts
 * events: {
 *   OrderCreated: versions<{ orderId: string; total: string }>()
 *     .next<{ orderId: string; total: string; currency: string }>((old) => ({ ...old, currency: 'USD' })),
 * }
 * ```
 * @throws InvalidOptions
 */
export function versions<Payload extends CarriableFields<Payload>>(schema?: undefined): EventSpec<Payload>;
export function versions<S extends Schema>(schema: S): EventSpec<Schema.InferInput<S>, Schema.InferOutput<S>>;
export function versions(schema?: Schema | undefined): EventSpec<any, any> {
  return event(schema as Schema);
}

/** Whether something was made by `event()` or `versions()`, of this copy of the package or of another one. */
export function isEventSpec(given: unknown): given is EventSpec<unknown> {
  const { schemaVersion, past } = (given ?? {}) as Partial<EventSpec<unknown>>;
  return typeof schemaVersion === 'number' && Array.isArray(past?.steps) && past.steps.length > 0;
}

class Declared implements EventSpec<any, any> {
  readonly schema: Schema | undefined;
  readonly schemaVersion: number;
  readonly past: EventPast;

  constructor(past: EventPast) {
    const newest = past.steps.at(-1)!;
    this.schema = newest.schema;
    this.schemaVersion = newest.schemaVersion;
    this.past = past;
  }

  next(...given: any[]): EventSpec<any, any> {
    const [schema, up, settings = {}] = isSchema(given[0]) ? given : [undefined, ...given];
    if (typeof up !== 'function') {
      refuse(
        'event.next',
        up,
        'must be a function from the version before to this one, behind the validator if there is one',
      );
    }
    checkFields('event.next', settings, nextFields);
    const { down } = settings as NextSettings<any, any>;
    if (down !== undefined && typeof down !== 'function') refuse('event.next.down', down, 'must be a function');
    const schemaVersion = this.schemaVersion + 1;
    checkVersion('event.next', schemaVersion);
    return declared({ ...this.past, steps: [...this.past.steps, { schemaVersion, schema, up, down }] });
  }

  renamedFrom(...names: string[]): EventSpec<any, any> {
    if (names.length === 0) refuse('event.renamedFrom', undefined, 'must name at least one former name');
    for (const name of names) checkOldName('event.renamedFrom', name);
    return declared({ ...this.past, names: [...this.past.names, ...names] });
  }

  splitFrom(type: string, ...given: any[]): EventSpec<any, any> {
    checkOldName('event.splitFrom', type);
    const [spec, split] = given.length > 1 ? given : [undefined, given[0]];
    if (spec !== undefined && !isEventSpec(spec))
      refuse('event.splitFrom', spec, 'must be made by event() or versions()');
    if (spec !== undefined && spec.past.names.length + spec.past.splits.length > 0) {
      refuse(
        'event.splitFrom',
        spec,
        `declares former names, which count for nothing here: give each a splitFrom() of its own`,
      );
    }
    if (typeof split !== 'function')
      refuse('event.splitFrom', split, 'must be a function that returns a list of [type, data]');
    const { schemaVersion } = this;
    return declared({ ...this.past, splits: [...this.past.splits, { type, spec, split, schemaVersion }] });
  }

  retired(through: number): EventSpec<any, any> {
    const last = this.schemaVersion - 1;
    if (!Number.isInteger(through) || through < this.past.lowest || through > last) {
      refuse('event.retired', through, `must be an older version that is read still, ${this.past.lowest} to ${last}`);
    }
    return declared({ ...this.past, lowest: through + 1 });
  }
}

const declared = (past: EventPast): EventSpec<any, any> => Object.freeze(new Declared(past));

/** Arktype's are functions with that mark. */
const isSchema = (given: unknown): given is Schema =>
  typeof (given as Schema | undefined)?.['~standard']?.validate === 'function';

function checkSchema(option: string, schema: unknown): void {
  if (schema !== undefined && !isSchema(schema)) {
    refuse(option, schema, 'must be a Standard Schema (zod, valibot, arktype …)');
  }
}

function checkVersion(option: string, version: number): void {
  if (Number.isInteger(version) && version >= 1 && version <= LAST_VERSION) return;
  refuse(option, version, `must be an integer from 1 to ${LAST_VERSION}`);
}

function checkOldName(option: string, name: unknown): void {
  const fault = nameFault(name as string, NAME_BYTES_LIMIT);
  if (fault !== undefined) refuse(option, name, fault);
}

function refuse(option: string, value: unknown, reason: string): never {
  throw new TrunklineError('InvalidOptions', { option, value: shown(value), reason });
}
