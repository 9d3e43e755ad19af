// Dead letters as users have them: `runtime.deadLetters`. Owned by the host thread.

import { dateMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { taken } from '../base/known-fields.ts';
import { printAs } from '../base/one-line.ts';
import { own } from '../base/own.ts';
import { doneOutside } from '../base/refusable-call.ts';
import type { Awaited } from '../base/running.ts';
import { promised } from '../base/thenable.ts';
import { checkpointTable } from '../handler-state/checkpoint.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { firstRecord, recordsOf } from '../handler-state/records.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { StoredEvent } from '../model/event.ts';
import { Evolution } from '../model/evolution.ts';
import { partsOf } from '../model/evolved-event.ts';
import { toPlain } from '../wire/payload.ts';
import {
  checkChange,
  checkLetterQuery,
  type DeadLetterQuery,
  type DeadLetterSelection,
  selectionFields,
} from './letter-query.ts';
import {
  aggregateKey,
  isAmong,
  isNamed,
  type LetterError,
  type LetterRecord,
  letterEvent,
  letterId,
  letterOf,
  letterTable,
  type NamedLetter,
  namedLetter,
  requeuedTable,
  sequencePrefix,
  unknownLetter,
} from './letters.ts';
import type { MessageLetters } from './message-letters.ts';
import type { DeadLetterRecord, ParkedSequences } from './parked-sequences.ts';

/** An event that a handler could not handle, or that waits behind one. */
export interface DeadLetter {
  /** Handler, event id and position: `billing/0198…@17`. Without the position it names the letter as long as no other has that id. */
  readonly id: string;
  readonly handler: string;
  /** `failed`: its attempts are used up. `behind`: an earlier event of its aggregate has failed. */
  readonly reason: 'failed' | 'behind';
  readonly event: StoredEvent;
  /** Attempts made so far. */
  readonly attempts: number;
  /** What the last attempt threw. */
  readonly error: LetterError | undefined;
  readonly parkedAt: Date;
  /** Its data were replaced by `edit`. */
  readonly edited: boolean;
}

/** What became, or would become, of a letter. */
export interface DeadLetterOutcome {
  readonly id: string;
  /** `requeued`: it will be handled, in the order of its aggregate. */
  readonly outcome: 'requeued' | 'discarded' | 'would succeed' | 'would fail' | 'would be discarded';
  readonly error?: LetterError | undefined;
}

/** A handler that runs here, as its dead letters need it. */
export interface LetterHandler {
  readonly parked: Pick<ParkedSequences, 'remove'>;
  /** Handle what is parked of an aggregate again, in order. Never rejects. */
  requeue(aggregate: string): Promise<void>;
  /** Its code that runs. */
  readonly code: Awaited;
  /** One attempt that moves nothing; what it threw, if it did. @throws RuntimeClosed */
  rehearse(event: StoredEvent): Promise<LetterError | undefined>;
}

/** The handlers that run here. */
export interface RunningHandlers {
  readonly names: readonly string[];
  /** By its name of today, or one that it had. */
  find(name: string): LetterHandler | undefined;
  /** The name that letters have: of one that does not run here, the same. */
  keptAs(name: string): string;
}

/** Dead letters of all handlers; see `runtime.deadLetters`. */
export class DeadLetters {
  /** Those of messages between aggregates. */
  readonly messages: MessageLetters;
  private readonly handlerState: StateTables;
  private readonly running: RunningHandlers;
  private readonly definitions: ReadonlyMap<string, AnyAggregate>;
  private readonly evolution: Evolution;

  /** @internal */
  constructor(
    handlerState: StateTables,
    running: RunningHandlers,
    definitions: ReadonlyMap<string, AnyAggregate>,
    messages: MessageLetters,
  ) {
    this.messages = messages;
    this.handlerState = handlerState;
    this.running = running;
    this.definitions = definitions;
    this.evolution = new Evolution(definitions.values());
  }

  /** In the order of handler, aggregate and event. */
  async list(query: DeadLetterQuery = {}): Promise<DeadLetter[]> {
    checkLetterQuery(query);
    return this.find(query, ({ record }) => shown(record, this.evolution));
  }

  /** @throws UnknownDeadLetter */
  async show(id: string): Promise<DeadLetter> {
    return shown((await this.one(id)).record, this.evolution);
  }

  /**
   * Handle them again, each aggregate's in order: from the first that failed, and what waits behind it. At once if the handler
   * is subscribed, else when it is. `dryRun` calls the handler with what is selected and moves nothing.
   * @throws InvalidOptions, UnknownDeadLetter, UnknownSubscription
   */
  requeue(
    which: string | DeadLetterSelection,
    options: { dryRun?: boolean | undefined } = {},
  ): Promise<DeadLetterOutcome[]> {
    return promised(() => {
      checkChange('requeue', which, options);
      const letters = this.select(which);
      return options.dryRun ? this.rehearse(letters) : letters.then((found) => this.handleAgain(found));
    });
  }

  private async handleAgain(letters: readonly DeadLetterRecord[]): Promise<DeadLetterOutcome[]> {
    const { handlerState } = this;
    const sequences = new Map<string, { handler: string; aggregate: string }>();
    for (const { record } of letters) {
      const aggregate = aggregateKey(record.event);
      const prefix = sequencePrefix(record.handler, aggregate);
      handlerState.stage(requeuedTable, prefix, true);
      sequences.set(prefix, { handler: record.handler, aggregate });
    }
    await this.kept(() => {
      for (const sequence of sequences.values()) this.goOn(sequence);
    });
    return letters.map(({ record }) => ({ id: letterId(record), outcome: 'requeued' }));
  }

  /**
   * Replace what the handler will get as `data`; the event itself, in log and store, stays as it is. A schema is given the data as
   * the JSON that they are.
   * @throws UnknownDeadLetter, SchemaViolation, UpcastFailed (of a split event), UnserialisableValue; then the letter is as it was
   */
  async edit(id: string, data: unknown): Promise<DeadLetter> {
    let checked = toPlain(data, 'data'); // now, whatever its owner makes of it while the letter is read
    const { key, record } = await this.one(id);
    const { aggregateType } = record.event;
    const { type, schemaVersion } = letterEvent(record, this.evolution);
    const schema = (
      own(this.definitions.get(aggregateType)?.events ?? {}, type) as AnyAggregate['events'][string] | undefined
    )?.schema;
    if (schema) {
      const result = await schema['~standard'].validate(checked);
      if (result.issues) {
        const issues = result.issues.map(({ message, path = [] }: any) => ({
          message,
          path: path.map((step: any) => String(typeof step === 'object' ? step.key : step)).join('.'),
        }));
        throw new TrunklineError('SchemaViolation', { aggregateType, eventType: type, issues });
      }
      checked = result.value;
    }
    const edited: LetterRecord = {
      ...record,
      event: { ...record.event, type, schemaVersion, data: toPlain(checked, 'data') },
      edited: true,
    };
    partsOf(letterEvent(edited, this.evolution)); // of a split event: its parts' declarations check them
    const { handlerState } = this;
    if ((await handlerState.get(letterTable, key)) === undefined) throw unknownLetter(id);
    handlerState.stage(letterTable, key, edited);
    await this.kept();
    return shown(edited, this.evolution);
  }

  /**
   * Give them up permanently. What waits behind a discarded letter is handled, unless it is discarded too.
   * @throws InvalidOptions, UnknownDeadLetter
   */
  async discard(
    which: string | DeadLetterSelection,
    options: { dryRun?: boolean | undefined } = {},
  ): Promise<DeadLetterOutcome[]> {
    checkChange('discard', which, options);
    const { dryRun } = options;
    const letters = await this.select(which);
    if (dryRun) return letters.map(({ record }) => ({ id: letterId(record), outcome: 'would be discarded' }));
    const { handlerState } = this;
    const sequences = new Map<string, { handler: string; aggregate: string }>();
    for (const letter of letters) {
      const { handler, event } = letter.record;
      const aggregate = aggregateKey(event);
      const running = this.running.find(handler);
      if (running) running.parked.remove(letter);
      else handlerState.stage(letterTable, letter.key, undefined);
      sequences.set(sequencePrefix(handler, aggregate), { handler, aggregate });
    }
    for (const [prefix, { handler, aggregate }] of sequences) {
      const rest = await firstRecord(handlerState, letterTable, prefix, letterOf);
      const goesOn = rest?.record.reason === 'behind';
      handlerState.stage(requeuedTable, prefix, goesOn ? true : undefined);
      if (goesOn) this.goOn({ handler, aggregate });
    }
    await this.kept();
    return letters.map(({ record }) => ({ id: letterId(record), outcome: 'discarded' }));
  }

  /** What has been decided is kept, and `then` done, however long that takes; its caller waits for the bound. */
  private kept(then: () => void = () => {}): Promise<void> {
    return this.handlerState.inTime('the change of dead letters', this.handlerState.durable().then(then));
  }

  /** At once, if the handler is here. */
  private goOn({ handler, aggregate }: { handler: string; aggregate: string }): void {
    const running = this.running.find(handler);
    if (running !== undefined) unawaited(running.requeue(aggregate));
  }

  private rehearse(selected: Promise<readonly DeadLetterRecord[]>): Promise<DeadLetterOutcome[]> {
    let letters: readonly DeadLetterRecord[] = [];
    const ready = selected.then((found) => {
      letters = found;
    });
    const { running } = this;
    const awaited: Awaited = {
      *running() {
        const handlers = new Set(letters.map(({ record }) => record.handler));
        for (const handler of handlers) yield* running.find(handler)?.code.running() ?? [];
      },
    };
    const work = async (): Promise<DeadLetterOutcome[]> => {
      const outcomes: DeadLetterOutcome[] = [];
      for (const { record } of letters) {
        const failed = await this.handlerOf(record).rehearse(letterEvent(record, this.evolution));
        const id = letterId(record);
        outcomes.push(
          failed === undefined ? { id, outcome: 'would succeed' } : { id, outcome: 'would fail', error: failed },
        );
      }
      return outcomes;
    };
    return doneOutside(awaited, 'requeue() as a dry run', work, ready);
  }

  /** @throws UnknownSubscription */
  private handlerOf({ handler }: LetterRecord): LetterHandler {
    const running = this.running.find(handler);
    if (running !== undefined) return running;
    throw new TrunklineError('UnknownSubscription', { handler, known: [...this.running.names] });
  }

  /** @internal A handler that runs, or has run here. @throws UnknownSubscription */
  async checkHandler(handler: string | undefined): Promise<void> {
    if (handler === undefined || this.running.find(handler) !== undefined) return;
    if ((await this.handlerState.get(checkpointTable, handler)) !== undefined) return;
    const kept = await this.handlerState.range(checkpointTable);
    const known = new Set([...this.running.names, ...kept.map(({ key }) => key)]);
    const names = [...known].filter((name) => !name.startsWith(PROJECTION_PREFIX));
    const message = `no handler '${handler}' has kept anything here; known: ${names.join(', ') || 'none'}`;
    throw new TrunklineError('UnknownSubscription', { handler, known: names }, { message });
  }

  private async select(which: string | DeadLetterQuery): Promise<DeadLetterRecord[]> {
    if (typeof which === 'string') return [await this.one(which)];
    const query = taken(which, selectionFields);
    await this.checkHandler(query.handler); // a misspelt one would select nothing, in silence
    return this.find(query, (letter) => letter);
  }

  private async one(id: string): Promise<DeadLetterRecord> {
    const named = namedLetter(id);
    if (named === undefined) throw unknownLetter(id);
    const [found, other] = await this.find({ handler: named.handler, limit: 2 }, (letter) => letter, named);
    if (found === undefined) throw unknownLetter(id);
    if (other !== undefined) throw unknownLetter(id, [found.record, other.record]);
    return found;
  }

  private async find<T>(
    query: DeadLetterQuery,
    as: (letter: DeadLetterRecord) => T,
    named?: NamedLetter,
  ): Promise<T[]> {
    const { aggregate, aggregateId, type, reason, olderThanMs = 0, limit = 1000 } = query;
    const handler = query.handler && this.running.keptAs(query.handler);
    const name = typeof aggregate === 'object' ? aggregate.name : aggregate;
    const aggregateType = name && this.evolution.storedType(name);
    const before = dateMs() - olderThanMs;
    const names = type === undefined ? undefined : this.evolution.names([type], aggregateType)!;
    const isToday = (record: Pick<LetterRecord, 'event'>): boolean =>
      isAmong(letterEvent(record, this.evolution), names!);
    const matches = ({ event, ...record }: LetterRecord): boolean => {
      if (named !== undefined && !isNamed(named, event)) return false;
      if (aggregateType !== undefined && event.aggregateType !== aggregateType) return false;
      if (aggregateId !== undefined && event.aggregateId !== aggregateId) return false;
      if (type !== undefined && event.type !== type && !isToday({ event })) return false;
      if (reason !== undefined && record.reason !== reason) return false;
      return olderThanMs === 0 || Date.parse(record.parkedAt) <= before;
    };
    let prefix = '';
    for (const part of [handler, aggregateType, aggregateId]) {
      if (part === undefined) break;
      prefix += `${part}\0`;
    }
    const part = named?.eventId ?? aggregateId ?? (names?.stored.size === 1 ? type : undefined);
    const matching = part === undefined ? '' : JSON.stringify(part);
    const letters: T[] = [];
    for await (const letter of recordsOf(this.handlerState, letterTable, letterOf, { prefix, matching })) {
      if (matches(letter.record)) letters.push(as(letter));
      if (letters.length >= limit) break;
    }
    return letters;
  }
}

const shown = (record: LetterRecord, evolution: Evolution): DeadLetter => ({
  id: letterId(record),
  handler: record.handler,
  reason: record.reason,
  event: letterEvent(record, evolution),
  attempts: record.attempts,
  error: record.error,
  parkedAt: new Date(record.parkedAt),
  edited: record.edited ?? false,
});

printAs(DeadLetters, () => 'DeadLetters');
