// A live rehearsal as the host has it: its thread, its counts, and its end. Whatever ends it, the service goes on. Host thread.

import { clearInterval, clearTimeout, pause, setInterval, setTimeout } from '../../base/clock.ts';
import { TrunklineError } from '../../base/errors.ts';
import { guarded, unawaited } from '../../base/guarded.ts';
import { onAbort, orAborted } from '../../base/on-abort.ts';
import { watchModule } from '../../base/slow-module.ts';
import { tame } from '../../base/tame.ts';
import { Thread } from '../../base/thread.ts';
import { fromWire } from '../../base/wire-error.ts';
import type { CommandTaps } from '../../dispatch/command-taps.ts';
import { Heartbeat } from '../../shared/heartbeat.ts';
import type {
  FromThread,
  HandedOver,
  Judged,
  LiveDifference,
  LiveEnd,
  LiveRehearsalStatus,
  LiveThreadData,
  ToThread,
} from './contract.ts';
import { Counts } from './counts.ts';
import { RecentErrors } from './recent-errors.ts';
import { RehearsalTap, type TapSettings } from './tap.ts';

const lookEveryMs = 1_000;
/** A command's synchronous code that returns later holds the thread. */
const heldMs = 5_000;
/** What it is at may end. */
const stopGraceMs = 2_000;

export interface LiveSettings extends TapSettings {
  /** By the runtime's numbers. */
  readonly rehearsed: LiveThreadData['types'];
  readonly taps: CommandTaps;
  /** How long one module may take to load. */
  readonly moduleMs: number;
  readonly maxErrorShare: number;
  readonly limit: number;
  readonly on: (difference: LiveDifference) => void;
  readonly signal: AbortSignal | undefined;
  warning(message: string, details: Record<string, unknown>): void;
}

export class LiveRehearsal {
  /** Resolves with its end, whatever that is. */
  readonly ended: Promise<LiveRehearsalStatus>;
  private readonly settings: LiveSettings;
  private readonly thread: Thread;
  private readonly tap: RehearsalTap;
  private readonly heartbeat = new Heartbeat();
  private readonly counts = new Counts();
  private readonly recent: RecentErrors;
  private described = 0;
  private unusedIgnore: readonly string[];
  private endedBy: LiveEnd | undefined;
  private reason: string | undefined;
  /** What its thread has said of its end. */
  private cause: string | undefined;
  private readonly whenEnded: (status: LiveRehearsalStatus) => void;
  private watch: NodeJS.Timeout | undefined;
  private lastBeat = 0;
  /** How long it has stood. */
  private stillMs = 0;
  private forget = (): void => {};

  /** `thread`: not kept, since a description of a store holds its password. */
  constructor(settings: LiveSettings, thread: Omit<LiveThreadData, 'beat'>) {
    this.settings = settings;
    this.unusedIgnore = thread.ignore;
    this.recent = new RecentErrors(settings.maxErrorShare);
    this.thread = new Thread(
      'rehearsal',
      './live-thread',
      import.meta.url,
      { ...thread, beat: this.heartbeat.memory },
      [],
    );
    this.tap = new RehearsalTap(settings, (commands) => this.handOver(commands));
    const { promise, resolve } = Promise.withResolvers<LiveRehearsalStatus>();
    this.ended = promise;
    this.whenEnded = resolve;
  }

  get aggregateTypes(): string[] {
    return this.settings.rehearsed.flatMap((one) => one?.name ?? []);
  }

  /** Load the release to come, and look on from then on. @throws ModuleMismatch, StartTimedOut, ThreadFailed, RuntimeInsideShard, RuntimeClosed, the signal's reason */
  async begin(): Promise<void> {
    const { taps, signal } = this.settings;
    try {
      await orAborted(this.loaded(), signal);
      // The runtime has begun to end meanwhile.
      if (this.endedBy !== undefined) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    } catch (error) {
      await this.thread.terminate();
      throw error;
    }
    this.thread.ended.then(
      () => this.finish('failed', this.cause ?? 'its thread has ended'),
      (error: unknown) => this.finish('failed', tame(error)),
    );
    this.watch = setInterval(
      guarded(() => this.look()),
      lookEveryMs,
    ).unref();
    taps.begin(this.tap);
    this.forget = onAbort(signal, () => this.stop('aborted'));
  }

  private loaded(): Promise<void> {
    const { thread, settings } = this;
    let late: NodeJS.Timeout | undefined;
    let unwatch = (): void => {};
    let importing = 'nothing';
    const done = (): void => {
      clearTimeout(late);
      unwatch();
    };
    return new Promise<void>((resolve, reject) => {
      thread.ended.then(
        () =>
          reject(
            new TrunklineError('ThreadFailed', {
              thread: thread.name,
              cause: `it ended while ${importing} was imported`,
            }),
          ),
        reject,
      );
      thread.port.on(
        'message',
        guarded((message: FromThread) => {
          if (message.type === 'importing') {
            done();
            importing = message.module;
            const start = { what: 'a rehearsal', module: message.module, timeoutMs: settings.moduleMs };
            unwatch = watchModule(start, settings.warning);
            late = setTimeout(
              guarded(() => reject(new TrunklineError('StartTimedOut', start))),
              settings.moduleMs,
            );
          } else if (message.type === 'ready') resolve();
          else if (message.type === 'failed') {
            const error = fromWire(message.error);
            this.cause = error.message;
            reject(error);
          } else if (message.type === 'warning') settings.warning(message.message, message.details);
          else {
            this.unusedIgnore = message.unusedIgnore;
            this.take(message.judged);
          }
        }),
      );
    }).finally(done);
  }

  status(): LiveRehearsalStatus {
    const { counts, tap, endedBy, reason } = this;
    return {
      state: endedBy === undefined ? 'running' : 'ended',
      ...{ endedBy, reason },
      ...counts.compared,
      leftOut: { ...tap.leftOut, ...counts.leftOut },
      unusedIgnore: this.unusedIgnore,
      hostMicros: Math.round(tap.spentMicros),
    };
  }

  /** It looks on no longer; its thread has a moment for what it is at. Idempotent. */
  async stop(by: LiveEnd, reason?: string): Promise<LiveRehearsalStatus> {
    if (this.endedBy === undefined) {
      this.leave(by, reason);
      this.thread.port.postMessage({ type: 'stop' } satisfies ToThread);
      const late = pause(by === 'held' ? 0 : stopGraceMs, 'late', { ref: false });
      const gone = this.thread.ended.catch(() => {});
      if ((await Promise.race([gone, late])) === 'late') await this.thread.terminate();
      this.whenEnded(this.status());
    }
    return this.ended;
  }

  private leave(by: LiveEnd, reason: string | undefined): void {
    this.endedBy = by;
    this.reason = reason;
    this.settings.taps.end(this.tap);
    this.tap.end();
    clearInterval(this.watch);
    this.forget();
    if (reason !== undefined) this.settings.warning('a rehearsal has ended by itself', { endedBy: by, reason });
  }

  /** Its thread has ended. */
  private finish(by: LiveEnd, reason: string): void {
    if (this.endedBy !== undefined) return;
    this.leave(by, reason);
    this.whenEnded(this.status());
  }

  private handOver(commands: readonly HandedOver[]): void {
    const message: ToThread = { type: 'commands', commands };
    this.thread.port.postMessage(
      message,
      commands.map(({ group }) => group.buffer as ArrayBuffer),
    );
  }

  private take(all: readonly Judged[]): void {
    this.tap.judged(all.length);
    for (const judged of all) {
      this.counts.add(judged);
      const { verdict, isError, difference } = judged;
      if (difference !== undefined) this.describe(difference);
      const isCompared = verdict !== 'no state' && verdict !== 'not executed';
      if (isCompared && this.recent.add(isError)) {
        const reason = `${this.recent.count} of its last ${this.recent.length} commands have failed where the running release has not`;
        unawaited(this.stop('errors', reason));
      }
    }
  }

  private describe(difference: LiveDifference): void {
    const { limit, on, warning } = this.settings;
    if (this.described++ >= limit) return;
    guarded(on, (error) => warning('`on` of a rehearsal has thrown', { err: tame(error) }))(difference);
  }

  /** A thread whose event loop stands, with a command at hand, is held by it. */
  private look(): void {
    const { count } = this.heartbeat;
    const { first } = this.tap;
    const stands = count === this.lastBeat && first !== undefined;
    this.lastBeat = count;
    this.stillMs = stands ? this.stillMs + lookEveryMs : 0;
    if (first === undefined || this.stillMs < heldMs) return;
    const type = this.settings.rehearsed[first.typeIndex]!;
    const command = `'${type.commands[first.commandIndex]}' of ${type.name}/${tame(first.id, 80)}`;
    unawaited(this.stop('held', `${command} has not returned for ${heldMs / 1000} s`));
  }
}
