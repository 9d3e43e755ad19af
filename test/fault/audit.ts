// The auditor: compares what clients were told with what each place holds after the fault, and names every difference.
//
// A place is anything that events end in: the log, a store, a topic, the effects of a handler. It hands out its events in
// the order in which it holds them, and says which acknowledgements it must bear out.
import type { Level, StoredEvent } from '../../src/index.ts';

interface EventRef {
  id: string;
  version: number;
}

/** One line of what clients were told, in the order in which they were told. */
export type Told =
  /** About to send: a command of this name, with so many events if it is carried out at all. Said before it is sent. */
  | { kind: 'sent'; command: string; events: number }
  | {
      kind: 'acknowledged';
      command?: string;
      ack: Level;
      aggregateType: string;
      aggregateId: string;
      version: number;
      events: EventRef[];
    }
  /** Told for certain that nothing of it has happened, nor ever will. */
  | { kind: 'refused'; command: string }
  | { kind: 'heard'; aggregateType: string; aggregateId: string; version: number; id: string };

/** Whether a line of a service is for the auditor. */
export const isTold = (line: { kind: string }): line is Told =>
  line.kind === 'sent' || line.kind === 'acknowledged' || line.kind === 'refused' || line.kind === 'heard';

/** An event as a place holds it. */
export interface Held {
  id: string;
  position: number;
  aggregateType: string;
  aggregateId: string;
  version: number;
  type: string;
  /** The command that raised it, and how many events it raised in all: as its metadata says. */
  command?: string | undefined;
  commandEvents?: number | undefined;
  /** The event whose sent message led to this one. */
  cause?: string | undefined;
  /** How many messages its command sent along. */
  sends?: number | undefined;
  /** The payload, in any form that is equal for equal payloads. */
  content: string;
  /** Metadata, time and schema version, likewise. */
  about?: string | undefined;
}

export interface Place {
  name: string;
  events: Iterable<Held> | AsyncIterable<Held>;
  /** Whatever was acknowledged at one of these levels must be here. */
  bears: readonly Level[];
  /** Sees events at least once, so that repetitions are no fault. Default: no. */
  repeats?: boolean;
  /** Keeps the order within each aggregate only (a topic of several partitions, a handler's effects). Default: no. */
  isPerAggregate?: boolean;
  /** Holds a tail only: commands and aggregates may have begun before its first event. Default: no. */
  isTail?: boolean;
  /** Every message that was sent must have been carried out by now, once. Default: no. */
  isSettled?: boolean;
}

export const kinds = ['lost', 'duplicated', 'reordered', 'gapped', 'torn', 'invented'] as const;
export type Kind = (typeof kinds)[number];

export interface Findings extends Record<Kind, string[]> {
  /** Commands acknowledged, and events held by the first place. */
  acknowledged: number;
  events: number;
}

/** What survives a kill: everything acknowledged but `raised`. */
export const survivesKill: readonly Level[] = ['written', 'synced', 'stored', 'published'];

export const noFindings = (): Findings => ({
  acknowledged: 0,
  events: 0,
  lost: [],
  duplicated: [],
  reordered: [],
  gapped: [],
  torn: [],
  invented: [],
});

/** An event that a runtime hands out, as the auditor wants it. */
export function heldFrom(event: StoredEvent): Held {
  const { id, position, aggregateType, aggregateId, version, type, metadata, schemaVersion } = event;
  const occurredAt = new Date(event.occurredAt).toISOString();
  return {
    id,
    position,
    aggregateType,
    aggregateId,
    version,
    type,
    // What a message carries out has inherited its sender's metadata.
    ...(metadata.causationId === undefined
      ? {
          command: metadata.commandId,
          commandEvents: metadata.commandEvents as number | undefined,
          sends: metadata.sends as number | undefined,
        }
      : { cause: metadata.causationId }),
    content: canonical(event.data),
    about: canonical({ metadata, occurredAt, schemaVersion }),
  };
}

export async function* heldBy(events: AsyncIterable<StoredEvent>): AsyncGenerator<Held> {
  for await (const event of events) yield heldFrom(event);
}

/** The first place is the reference: what another one holds beside it is invented. */
export async function audit(told: Iterable<Told>, places: readonly Place[]): Promise<Findings> {
  const findings = noFindings();
  const claims = claimsOf(told);
  findings.acknowledged = claims.acknowledged;
  let reference: Map<string, Held> | undefined;
  for (const place of places) {
    const auditor = new PlaceAuditor(place, claims, reference, findings);
    for await (const event of place.events) auditor.see(event);
    auditor.end();
    reference ??= auditor.byId;
    if (auditor.byId === reference) findings.events = reference.size;
  }
  return findings;
}

interface Claims {
  acknowledged: number;
  /** Command → number of its events; undefined if nobody said what was sent. */
  sent: Map<string, number> | undefined;
  refused: Set<string>;
  /** Event id → where it was said to be, and the levels at which that was said. */
  promised: Map<string, { at: string; levels: Set<Level> }>;
}

function claimsOf(told: Iterable<Told>): Claims {
  const claims: Claims = { acknowledged: 0, sent: undefined, refused: new Set(), promised: new Map() };
  const promise = (id: string, at: string, level: Level): void => {
    const known = claims.promised.get(id);
    if (known) known.levels.add(level);
    else claims.promised.set(id, { at, levels: new Set([level]) });
  };
  for (const line of told) {
    if (line.kind === 'sent') (claims.sent ??= new Map()).set(line.command, line.events);
    else if (line.kind === 'refused') claims.refused.add(line.command);
    else if (line.kind === 'heard') promise(line.id, placeOf(line, line.version), 'written');
    else {
      claims.acknowledged++;
      for (const { id, version } of line.events) promise(id, placeOf(line, version), line.ack);
    }
  }
  return claims;
}

const placeOf = (event: { aggregateType: string; aggregateId: string }, version: number): string =>
  `${event.aggregateType}/${event.aggregateId}@${version}`;

class PlaceAuditor {
  readonly byId: Map<string, Held> = new Map();
  private readonly place: Place;
  private readonly claims: Claims;
  private readonly reference: Map<string, Held> | undefined;
  private readonly findings: Findings;
  private readonly versions = new Map<string, number>();
  private readonly taken = new Map<string, string>();
  private readonly commands = new Map<string, { expected: number; found: number; firstVersion: number }>();
  private lastPosition = 0;

  constructor(place: Place, claims: Claims, reference: Map<string, Held> | undefined, findings: Findings) {
    this.place = place;
    this.claims = claims;
    this.reference = reference;
    this.findings = findings;
  }

  see(event: Held): void {
    const at = placeOf(event, event.version);
    const before = this.byId.get(event.id);
    if (before) {
      if (!same(before, event)) this.found('invented', `${at}: the same id as ${placeOf(before, before.version)}`);
      if (!this.place.repeats) this.found('duplicated', at);
      return;
    }
    this.byId.set(event.id, event);
    this.checkOrder(event, at);
    this.checkOrigin(event, at);
  }

  private checkOrder(event: Held, at: string): void {
    const other = this.taken.get(at);
    if (other !== undefined) this.found('duplicated', `${at}: ${event.id} beside ${other}`);
    this.taken.set(at, event.id);
    const aggregate = `${event.aggregateType}/${event.aggregateId}`;
    const version = this.versions.get(aggregate);
    if (version === undefined ? !this.place.isTail && event.version !== 1 : event.version > version + 1) {
      this.found('gapped', `${at} after ${version ?? 0}`);
    } else if (version !== undefined && event.version < version) this.found('reordered', `${at} after ${version}`);
    this.versions.set(aggregate, Math.max(version ?? 0, event.version));
    if (!this.place.isPerAggregate && event.position <= this.lastPosition) {
      this.found('reordered', `${at}: position ${event.position} after ${this.lastPosition}`);
    }
    this.lastPosition = Math.max(this.lastPosition, event.position);
  }

  private checkOrigin(event: Held, at: string): void {
    const { sent, refused, promised } = this.claims;
    const promise = promised.get(event.id);
    if (promise && promise.at !== at) this.found('invented', `${at}: told to be ${promise.at}`);
    const original = this.reference?.get(event.id);
    if (this.reference && !original) this.found('invented', `${at}: unknown to the first place`);
    if (original && !same(original, event)) this.found('invented', `${at}: not as the first place has it`);
    const { command } = event;
    if (command === undefined) return;
    if (sent && !sent.has(command)) this.found('invented', `${at}: nobody sent ${command}`);
    if (refused.has(command)) this.found('invented', `${at}: ${command} was refused`);
    const expected = sent?.get(command) ?? event.commandEvents;
    if (expected === undefined) return;
    const seen = this.commands.get(command);
    if (seen) seen.found++;
    else this.commands.set(command, { expected, found: 1, firstVersion: event.version });
  }

  end(): void {
    const { bears, isTail } = this.place;
    let isFirst = true;
    for (const [command, { expected, found }] of this.commands) {
      if (found < expected && !(isTail && isFirst)) this.found('torn', `${command}: ${found} of ${expected} events`);
      if (found > expected) this.found('duplicated', `${command}: ${found} of ${expected} events`);
      isFirst = false;
    }
    if (this.place.isSettled) this.checkMessages();
    if (isTail) return;
    for (const [id, { at, levels }] of this.claims.promised) {
      if (this.byId.has(id) || !bears.some((level) => levels.has(level))) continue;
      this.found('lost', `${at}: ${this.taken.get(at) ?? 'nothing'} instead of ${id}`);
    }
  }

  private checkMessages(): void {
    const carriedOut = new Map<string, number>();
    for (const { cause } of this.byId.values()) {
      if (cause !== undefined) carriedOut.set(cause, (carriedOut.get(cause) ?? 0) + 1);
    }
    for (const [cause, times] of carriedOut) {
      const sender = this.byId.get(cause);
      if (!sender) this.found('invented', `${times} messages of ${cause}, which is not here`);
    }
    for (const { id, sends = 0 } of this.byId.values()) {
      const times = carriedOut.get(id) ?? 0;
      if (times < sends) this.found('lost', `${sends - times} of ${sends} messages of ${id}`);
      if (times > sends) this.found('duplicated', `messages of ${id}: ${times} of ${sends}`);
    }
  }

  private found(kind: Kind, what: string): void {
    this.findings[kind].push(`${this.place.name}: ${what}`);
  }
}

const same = (a: Held, b: Held): boolean =>
  a.id === b.id &&
  a.position === b.position &&
  a.aggregateType === b.aggregateType &&
  a.aggregateId === b.aggregateId &&
  a.version === b.version &&
  a.type === b.type &&
  a.content === b.content &&
  a.about === b.about;

/** JSON whose keys are in order: PostgreSQL's jsonb has an order of its own. */
function canonical(value: unknown): string {
  const inOrder = (_: string, item: unknown): unknown =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item;
  return JSON.stringify(value, inOrder);
}

/** Add what another audit found. */
export function addFindings(to: Findings, more: Findings): void {
  to.acknowledged += more.acknowledged;
  to.events += more.events;
  for (const kind of kinds) to[kind].push(...more[kind]);
}

/** How many differences there are in all. */
export const faultsIn = (findings: Findings): number => kinds.reduce((sum, kind) => sum + findings[kind].length, 0);
