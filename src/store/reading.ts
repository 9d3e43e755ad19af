// Everything that the host thread reads: the store here, a store elsewhere if there is one, and the history over
// store and log. Opened once the flush thread runs, closed before it is of no use.
import { pause } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { StopSteps } from '../base/stop-steps.ts';
import type { LogSource } from '../log/log.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Evolution } from '../model/evolution.ts';
import { eventsToday } from '../model/evolved-event.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { isMintedBy } from '../wire/ids.ts';
import type { StoreAdapter, StoreArchive, StoreOptions } from './adapter.ts';
import { EvolvedArchive } from './evolved-archive.ts';
import { History } from './history.ts';
import type { LocalArchive } from './local.ts';
import type { EventArchive, Head, RemoteReader } from './store.ts';

const lookEveryMs = 5;
const looksLimit = 400; // a local cache commits every 50 ms

interface AnswerBasis {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly position: number;
}

/** A store elsewhere. */
interface Elsewhere {
  readonly options: StoreOptions;
  readonly adapter: StoreAdapter;
}

export interface ReadingSettings {
  openLocal(): Promise<LocalArchive>;
  logId: string;
  log: LogSource;
  control: ControlBlock;
  /** undefined: events are kept here. */
  store: Elsewhere | undefined;
  progress: {
    /** Resolves when `position` is stored. `reading`: rejects at once while the store is in trouble. @throws WaitTimedOut */
    reached(
      level: 'stored',
      position: number,
      signal: AbortSignal | undefined,
      patience: 'reading' | 'own',
    ): Promise<void>;
    /** Why the store does not take what the log has. */
    troubleOf(level: 'stored'): TrunklineError | undefined;
  };
  waitTimeoutMs: number;
  /** How stored events are read. */
  evolution: Evolution;
  /** Of an event of the store that cannot be read, and is left out. */
  report(error: TrunklineError): void;
}

export class Reading {
  readonly history: History;
  readonly archive: EventArchive;
  private readonly settings: ReadingSettings;
  private readonly local: LocalArchive;
  private readonly remote: StoreArchive | undefined;
  private aggregates: RemoteReader | undefined;

  private constructor(settings: ReadingSettings, local: LocalArchive, remote: StoreArchive | undefined) {
    const { log, logId, control, evolution } = settings;
    this.settings = settings;
    this.local = local;
    this.remote = remote;
    this.history = new History(remote?.historyOf(logId, control) ?? this.local, log, control, evolution);
    this.archive = new EvolvedArchive(this.remote ?? this.local, evolution);
  }

  static async open(settings: ReadingSettings): Promise<Reading> {
    const { store } = settings;
    const remote = store && (await store.adapter.openArchive(store.options, settings.report));
    try {
      return new Reading(settings, await settings.openLocal(), remote);
    } catch (error) {
      await remote?.close();
      throw error;
    }
  }

  /** Whether the store has aggregates that are stored by this name. @throws StoreUnavailable */
  async holds(type: string): Promise<boolean> {
    for await (const _ of (this.remote ?? this.local).heads(type)) return true;
    return false;
  }

  /** Events that could not be read, and were left out. */
  get unreadable(): number {
    return this.remote?.unreadable ?? 0;
  }

  /** What this machine itself knows of an aggregate; newer than the store, where that is elsewhere. */
  readonly localHead = (type: string, id: string): Head | undefined => this.local.localHead(type, id);

  /**
   * Resolves when everything written so far is stored; a store that is unavailable says so at once.
   * @throws StoreUnavailable, or what else keeps the store from it; WaitTimedOut
   */
  async caughtUp(): Promise<void> {
    const { control, progress, store, waitTimeoutMs } = this.settings;
    const written = control.position('written');
    if (control.position('stored') >= written) return;
    if (this.remote === undefined || store === undefined)
      return progress.reached('stored', written, undefined, 'reading');
    const { name, statementTimeoutMs } = store.options.describe();
    const timeout = AbortSignal.timeout(Math.min(waitTimeoutMs, statementTimeoutMs));
    try {
      await Promise.all([this.remote.check(), progress.reached('stored', written, timeout, 'own')]);
    } catch (error) {
      if (!timeout.aborted) throw error;
      const trouble = progress.troubleOf('stored');
      if (trouble) throw trouble;
      const cause = `it is at position ${control.position('stored')} of ${written}`;
      throw new TrunklineError('StoreUnavailable', { store: name, cause });
    }
  }

  /**
   * `count` events of an aggregate from `version` on: what a command raised. From here, as long as they are here; so that a
   * repeated command is answered while the store is unavailable.
   */
  async eventsFrom(type: string, id: string, version: number, count: number): Promise<StoredEvent[]> {
    const { control } = this.settings;
    const written = control.position('written');
    for (let looks = 0; this.remote && control.position('remembered') < written && looks < looksLimit; looks++) {
      await pause(lookEveryMs);
    }
    const local = this.remote ? await this.local.getFromVersion(type, id, version, count) : [];
    if (local.length === count && local[0]?.version === version) return eventsToday(local, this.settings.evolution);
    await this.caughtUp();
    return this.archive.getFromVersion(type, id, version, count);
  }

  /**
   * Whether the store has, at some moment, been where an answer without events was decided: at its version now, or gone on
   * from there by this log behind the answer. What cannot be distinguished from a take-over counts as one.
   * @throws Quarantined, StoreUnavailable
   */
  async confirm({ type, id, version, position }: AnswerBasis): Promise<void> {
    const found = await this.remote?.otherThan(this.settings.logId, type, id, version, position);
    if (found === undefined) return;
    const reason = `an answer was decided on version ${version}, and ${found}`;
    const which = { aggregateType: type, aggregateId: id, version: version + 1, position };
    throw new TrunklineError('Quarantined', { ...which, reason });
  }

  /** For entities, where the store is elsewhere: one that is unknown here is this log's from then on. */
  get lookUp(): ((type: string, id: string) => Promise<number>) | undefined {
    const { store, logId, control } = this.settings;
    if (store === undefined) return undefined;
    return async (type, id) => {
      if (isMintedBy(logId, id, this.local.since)) return 0;
      await this.caughtUp();
      this.aggregates ??= await store.adapter.openAggregateReader(store.options.settings, logId);
      const found = await this.aggregates.load(type, id, '', Number.MAX_SAFE_INTEGER, control.position('stored'));
      return found?.version ?? 0;
    };
  }

  async close(): Promise<void> {
    const steps = new StopSteps();
    await steps.take('iterations', () => this.history.close());
    await steps.take('loads', () => this.aggregates?.close());
    await steps.take('the embedded store', () => this.local.close());
    await steps.take('the store elsewhere', () => this.remote?.close());
    steps.end();
  }
}
