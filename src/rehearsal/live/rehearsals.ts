// `runtime.rehearse`: at most one rehearsal at a time, and none beyond the runtime's end. Host thread.

import { invalid } from '../../base/checks.ts';
import { TrunklineError } from '../../base/errors.ts';
import type { CommandTaps } from '../../dispatch/command-taps.ts';
import type { AnyAggregate } from '../../model/aggregate.ts';
import { namesOf, storedTypeOf } from '../../model/aggregate-names.ts';
import type { StoreOptions } from '../../store/adapter.ts';
import { pairsOf } from '../compare/pairs.ts';
import { IgnoredPlaces } from '../compare/paths.ts';
import type {
  LiveRehearsalOptions,
  LiveRehearsalStatus,
  LiveThreadData,
  NamedType,
  RehearsedType,
} from './contract.ts';
import { LiveRehearsal } from './live-rehearsal.ts';
import { checkLiveOptions } from './options.ts';

/** What rehearsals take of the runtime. */
export interface RehearsalsParts {
  readonly aggregates: readonly AnyAggregate[];
  readonly context: string | undefined;
  readonly moduleRoots: readonly string[] | undefined;
  readonly moduleMs: number;
  readonly groupLimit: number;
  readonly place: Pick<LiveThreadData, 'local' | 'logId' | 'controlBlock'>;
  readonly store: StoreOptions | undefined;
  readonly taps: CommandTaps;
  readonly logger: { warn(details: object, message: string): void };
}

/** A live rehearsal; made by `runtime.rehearse`. */
export interface RunningRehearsal extends AsyncDisposable {
  /** Resolves when it has ended, whatever the reason. */
  readonly ended: Promise<LiveRehearsalStatus>;
  /** As of now. Cheap. */
  status(): LiveRehearsalStatus;
  /** End it. Idempotent. */
  stop(): Promise<LiveRehearsalStatus>;
}

export class Rehearsals {
  private readonly parts: RehearsalsParts;
  private current: LiveRehearsal | undefined;
  private isClosed = false;

  constructor(parts: RehearsalsParts) {
    this.parts = parts;
  }

  async start(given: LiveRehearsalOptions): Promise<RunningRehearsal> {
    const { aggregates, taps, moduleMs, logger } = this.parts;
    const options = checkLiveOptions(given, this.parts);
    const { old = aggregates, ignore = [], signal } = options;
    this.checkOwn(old);
    const types = this.typesOf(old, options.new);
    const named = types.flatMap((one) => one?.names.map((name) => [name, one.storedType] as const) ?? []);
    new IgnoredPlaces(ignore, new Map(named)); // the thread makes its own: a wrong pattern is refused here
    signal?.throwIfAborted();
    if (this.isClosed) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    if (this.current !== undefined) {
      throw new TrunklineError('RehearsalRunning', { aggregateTypes: this.current.aggregateTypes });
    }
    const { share = 0.01, budgetMicros = 100, maxErrorShare = 0.1, limit = 1_000, on = () => {}, context } = options;
    const { place, store, groupLimit, moduleRoots } = this.parts;
    const allTypes = aggregates.map((one): NamedType => ({ names: namesOf(one), storedType: storedTypeOf(one) }));
    const live = new LiveRehearsal(
      {
        rehearsed: types,
        types: new Set(types.flatMap((one) => one?.storedType ?? [])),
        ...{ share, budgetMicros, maxErrorShare, limit, on, signal, taps, moduleMs },
        warning: (message, details) => logger.warn(details, message),
      },
      { ...place, store: store?.describe(), types, allTypes, ignore, context, moduleRoots, groupLimit },
    );
    this.current = live;
    const over = (): void => {
      this.current = undefined;
    };
    live.ended.then(over);
    try {
      await live.begin();
    } catch (error) {
      over();
      throw error;
    }
    const stop = (): Promise<LiveRehearsalStatus> => live.stop('stopped');
    return {
      ended: live.ended,
      status: () => live.status(),
      stop,
      [Symbol.asyncDispose]: async () => {
        await stop();
      },
    };
  }

  /** The runtime ends. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.current?.stop('closed');
  }

  private checkOwn(old: readonly AnyAggregate[]): void {
    const own = new Set(this.parts.aggregates);
    for (const one of old) if (!own.has(one)) invalid('old', undefined, "must hold definitions of this runtime's own");
  }

  /** By the runtime's numbers. */
  private typesOf(old: readonly AnyAggregate[], now: readonly AnyAggregate[]): (RehearsedType | undefined)[] {
    const { pairs } = pairsOf(old, now);
    return this.parts.aggregates.map((one) => {
      const pair = pairs.find((each) => each.old === one);
      if (pair === undefined) return undefined;
      const { name: storedType, names } = pair;
      const { name, module } = pair.new;
      if (module === one.module && name === one.name) {
        const reason = `has the module of the running '${name}', which the thread would find there: give it \`module: import.meta.url\``;
        invalid('new', undefined, reason);
      }
      return {
        storedType,
        names: [...names],
        name,
        module,
        commands: Object.keys(one.commands),
      };
    });
  }
}
