// How what is stored is read by this release: an event's older versions, and the names that it had. Nothing stored is ever
// rewritten: an event is made new each time it is read, from the version in its frame up to the newest one.

import { tame } from '../base/tame.ts';
import { isThenable } from '../base/thenable.ts';
import { deepFreeze, toPlain } from '../wire/payload.ts';
import type { AnyAggregate } from './aggregate.ts';
import { namesOf, storedTypeOf } from './aggregate-names.ts';
import type { SkippedEvent } from './definition-checks.ts';
import type { EventSpec, SplitSource, VersionStep } from './event-spec.ts';
import { accepts } from './payload-check.ts';
import { checkReadable, type EventPlace, failUpcast } from './unreadable-event.ts';

/** An event as this release knows it. */
export interface ReadEvent {
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: unknown;
}

/**
 * What events stored by one name are now. `event`: one event, of the newest version. `split`: other events, one or several.
 * `retired`: nothing; reducers and handlers pass over it.
 */
export type StoredName =
  | { readonly kind: 'event'; readonly type: string; readonly spec: EventSpec<any, any> }
  | { readonly kind: 'split'; readonly source: SplitSource; readonly type: string }
  | { readonly kind: 'retired'; readonly type: string };

/** How one aggregate type's stored events are read. */
export class AggregateEvolution {
  /** Its name of today. */
  readonly aggregateType: string;
  /** The one that is stored. */
  readonly storedType: string;
  /** Every name that it has or had. */
  readonly types: readonly string[];
  readonly names: ReadonlyMap<string, StoredName>;
  /** Those that are passed over on purpose, by aggregate id; undefined: none, as in most definitions. */
  private readonly skipped: ReadonlyMap<string, SkippedVersions> | undefined;
  /** Names whose events may have become any of today's. */
  private readonly splitNames: readonly string[];

  constructor(definition: AnyAggregate) {
    const { name, events = {}, retired = [], skipped = [] } = definition;
    this.skipped = skipped.length > 0 ? skippedOf(skipped) : undefined;
    this.aggregateType = name;
    this.storedType = storedTypeOf(definition);
    this.types = namesOf(definition);
    this.names = storedNamesOf(events, retired);
    this.splitNames = [...this.names.values()].filter(({ kind }) => kind === 'split').map(({ type }) => type);
  }

  /** Whether a stored event is passed over on purpose. Its id is asked for where the rest fits: a frame makes its text then. */
  skips(aggregateId: string, version: number, event: { readonly id: string }): boolean {
    return this.skipped?.get(aggregateId)?.get(version)?.has(event.id) === true;
  }

  /** The name that an event type has today, by any that it had; one that is not known stays as it is. */
  todaysName(type: string): string {
    return this.names.get(type)?.type ?? type;
  }

  /** By today's name, or an older one: every name by which such an event may be stored. */
  storedNames(type: string): string[] {
    const known = this.names.get(type);
    if (known?.kind !== 'event') return [type];
    return [known.type, ...known.spec.past.names, ...this.splitNames];
  }

  /** The names that an event type of today had, or was made from. */
  sourcesOf(type: string): string[] {
    const known = this.names.get(type);
    return known?.kind === 'event' ? [...known.spec.past.names, ...known.spec.past.splits.map((one) => one.type)] : [];
  }

  /** The payload of the newest version. Only for a name of kind `event`. @throws UnsupportedEventVersion, UpcastFailed */
  upcast(name: string, spec: EventSpec<any, any>, schemaVersion: number, data: unknown, place: EventPlace): unknown {
    return this.convert(name, spec, [schemaVersion, spec.schemaVersion], data, place);
  }

  /**
   * The payload of another version, up or down the chain, whose steps down are there. Only for a name of kind `event`.
   * @throws UnsupportedEventVersion, UpcastFailed
   */
  convert(
    name: string,
    spec: EventSpec<any, any>,
    [from, to]: readonly [from: number, to: number],
    data: unknown,
    place: EventPlace,
  ): unknown {
    if (from === to) return data;
    const { past, schemaVersion: newest } = spec;
    checkReadable(name, past, newest, from, place);
    const { steps } = past;
    const first = steps[0]!.schemaVersion;
    // Readers have frozen it, shards have not: a step that changed it would work for one of them alone. What a step makes is the chain's own.
    let now: unknown = deepFreeze(data);
    for (let made = from + 1; made <= to; made++) {
      now = this.step(name, steps[made - first]!.up!, made, now, from, place);
    }
    for (let made = from - 1; made >= to; made--) {
      now = this.step(name, steps[made + 1 - first]!.down!, made, now, from, place);
    }
    return this.settled(name, steps[to - first]!, from, now, place);
  }

  /** The events that a stored one has become. Only for a name of kind `split`. @throws UnsupportedEventVersion, UpcastFailed */
  split(
    { source }: StoredName & { kind: 'split' },
    schemaVersion: number,
    data: unknown,
    place: EventPlace,
  ): ReadEvent[] {
    const { type: name, spec, split } = source;
    const failed = (reason: string): never => failUpcast(name, schemaVersion, place, reason);
    const old = spec === undefined ? data : this.upcast(name, spec, schemaVersion, data, place);
    let parts: ReturnType<typeof split>;
    try {
      parts = split(deepFreeze(old), spec?.schemaVersion ?? schemaVersion);
    } catch (error) {
      return failUpcast(name, schemaVersion, place, `its splitFrom() has thrown: ${tame(error)}`, error);
    }
    if (!Array.isArray(parts)) return failed('its splitFrom() must return a list of [type, data]');
    return parts.map((part: unknown) => {
      if (!Array.isArray(part)) return failed('its splitFrom() must return a list of [type, data]');
      const [type, payload, version] = part as [string, unknown, number | undefined];
      const target = this.names.get(type);
      if (target?.kind !== 'event')
        return failed(`its splitFrom() names '${tame(type, 80)}', which is no event of this aggregate`);
      const own = target.spec;
      const partVersion =
        version ?? (own.past.splits.includes(source) ? source.schemaVersion : own.past.steps[0]!.schemaVersion);
      const plain = plainOf(payload, (reason) => failed(`its part ${type}: ${reason}`));
      // One of the newest version is checked as well: nothing else looks at what a split has made.
      const newest =
        partVersion === own.schemaVersion
          ? this.settled(name, own.past.steps.at(-1)!, schemaVersion, plain, place)
          : this.upcast(type, own, partVersion, plain, place);
      return { type: target.type, schemaVersion: own.schemaVersion, data: newest };
    });
  }

  private step(
    name: string,
    lead: (old: any) => unknown,
    schemaVersion: number,
    old: unknown,
    from: number,
    place: EventPlace,
  ): unknown {
    let made: unknown;
    try {
      made = lead(old);
      if (!isThenable(made)) return made;
      Promise.resolve(made).catch(() => {}); // its outcome is of no use, and must not become an unhandled rejection
    } catch (error) {
      return failUpcast(
        name,
        from,
        place,
        `the function that makes version ${schemaVersion} has thrown: ${tame(error)}`,
        error,
      );
    }
    return failUpcast(
      name,
      from,
      place,
      `the function that makes version ${schemaVersion} returns a promise; it must return the payload itself`,
    );
  }

  /** As JSON would carry it, and as the validator of its version wants it. */
  private settled(
    name: string,
    { schema, schemaVersion }: VersionStep,
    from: number,
    made: unknown,
    place: EventPlace,
  ): unknown {
    const plain = plainOf(made, (reason) => failUpcast(name, from, place, `what has become of it: ${reason}`));
    const fault = schema === undefined ? undefined : accepts(schema, plain);
    if (fault === undefined) return plain;
    return failUpcast(
      name,
      from,
      place,
      `what has become of it is refused by version ${schemaVersion}'s validator: ${fault}`,
    );
  }
}

function plainOf(value: unknown, refused: (reason: string) => never): unknown {
  try {
    return toPlain(value, 'data');
  } catch (error) {
    return refused(tame(error));
  }
}

/** Ids of events, by their version: one list may name events of several stores, which have an aggregate of one id each. */
type SkippedVersions = ReadonlyMap<number, ReadonlySet<string>>;

function skippedOf(skipped: readonly SkippedEvent[]): ReadonlyMap<string, SkippedVersions> {
  const byAggregate = new Map<string, Map<number, Set<string>>>();
  for (const { id, version, eventId } of skipped) {
    const byVersion = byAggregate.get(id) ?? new Map<number, Set<string>>();
    byAggregate.set(id, byVersion.set(version, (byVersion.get(version) ?? new Set<string>()).add(eventId)));
  }
  return byAggregate;
}

/** By the name in the frame. */
function storedNamesOf(
  events: Readonly<Record<string, EventSpec<any, any>>>,
  retired: readonly string[],
): ReadonlyMap<string, StoredName> {
  const names = new Map<string, StoredName>();
  for (const type of retired) names.set(type, { kind: 'retired', type });
  for (const [type, spec] of Object.entries(events)) {
    for (const source of spec.past.splits) names.set(source.type, { kind: 'split', source, type: source.type });
    for (const name of [type, ...spec.past.names]) names.set(name, { kind: 'event', type, spec });
  }
  return names;
}

/** Which events are wanted, by the names that a user gave: of today, or of the past. */
export class WantedNames {
  /** Every name by which they may be stored. Of other aggregates, too: what is found by it is asked {@link has}. */
  readonly stored: ReadonlySet<string>;
  /** Every name by which readers may see them. */
  readonly today: ReadonlySet<string>;
  private readonly given: ReadonlySet<string>;
  private readonly byAggregate: ReadonlyMap<string, ReadonlySet<string>>;

  constructor(given: Iterable<string>, evolutions: readonly AggregateEvolution[]) {
    this.given = new Set(given);
    const names = [...this.given];
    this.byAggregate = new Map(
      evolutions.flatMap((one) => {
        const own = new Set(names.map((name) => one.todaysName(name)));
        return one.types.map((type) => [type, own]);
      }),
    );
    this.stored = new Set([...names, ...evolutions.flatMap((one) => names.flatMap((name) => one.storedNames(name)))]);
    this.today = new Set([...names, ...[...this.byAggregate.values()].flatMap((own) => [...own])]);
  }

  /** A name means what it means in the event's own aggregate. */
  has({ aggregateType, type }: { readonly aggregateType: string; readonly type: string }): boolean {
    return (this.byAggregate.get(aggregateType) ?? this.given).has(type);
  }
}

const evolutions = new WeakMap<AnyAggregate, AggregateEvolution>();

/** One for each definition. */
export function evolutionOf(definition: AnyAggregate): AggregateEvolution {
  let evolution = evolutions.get(definition);
  if (evolution === undefined) {
    evolution = new AggregateEvolution(definition);
    evolutions.set(definition, evolution);
  }
  return evolution;
}

/** How the events of several aggregate types are read; those of a type that is not among them stay as they are stored. */
export class Evolution {
  private readonly byType: ReadonlyMap<string, AggregateEvolution>;
  private readonly byStoredType: ReadonlyMap<string, AggregateEvolution>;
  private readonly all: readonly AggregateEvolution[];

  constructor(definitions: Iterable<AnyAggregate>) {
    this.all = [...definitions].map(evolutionOf);
    this.byStoredType = new Map(this.all.map((one) => [one.storedType, one]));
    this.byType = new Map(this.all.flatMap((one) => one.types.map((type) => [type, one])));
  }

  /** Everything as it is stored. */
  static readonly none: Evolution = new Evolution([]);

  /** Whether no definition is known. */
  get isEmpty(): boolean {
    return this.byType.size === 0;
  }

  /** By any name that the type has or had. */
  of(aggregateType: string): AggregateEvolution | undefined {
    return this.byType.get(aggregateType);
  }

  /** Of stored events: what is stored by another name of the type is none of its. */
  ofStored(aggregateType: string): AggregateEvolution | undefined {
    return this.byStoredType.get(aggregateType);
  }

  /** The name by which an aggregate type is stored; one that is not known here is stored as it is. */
  storedType(aggregateType: string): string {
    return this.byType.get(aggregateType)?.storedType ?? aggregateType;
  }

  /** The name that an aggregate type has today. */
  todaysType(aggregateType: string): string {
    return this.byType.get(aggregateType)?.aggregateType ?? aggregateType;
  }

  /** The names that event types of today had, or were made from, in whatever aggregate. */
  sourcesOf(type: string): string[] {
    return this.all.flatMap((one) => one.sourcesOf(type));
  }

  /** Which events are wanted, by names of today or of the past: of one aggregate type, or of any. undefined: all. */
  names(types: Iterable<string> | undefined, aggregateType: string | undefined): WantedNames | undefined {
    if (types === undefined) return undefined;
    const known = aggregateType === undefined ? this.all : [this.byType.get(aggregateType)];
    return new WantedNames(
      types,
      known.filter((one) => one !== undefined),
    );
  }
}
