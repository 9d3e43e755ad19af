// A live rehearsal: what it is given, what it tells, and how host and thread speak.

import type { WireError } from '../../base/wire-error.ts';
import type { TappedCommand, TappedQuestion } from '../../dispatch/command-taps.ts';
import type { AnyAggregate } from '../../model/aggregate.ts';
import type { RehearsalFailure } from '../compare/failure.ts';
import type { StateChange } from '../compare/state-diff.ts';
import type { StoredPlace } from './past-states.ts';

/** Which commands are tried by the release to come, how, and when to stop. */
export interface LiveRehearsalOptions {
  /** The runtime's own definitions whose commands are rehearsed; left out: all that `new` has as well. */
  old?: readonly AnyAggregate[] | undefined;
  /** Definitions of the release to come; paired with the runtime's by name. A thread of its own imports their modules. */
  new: readonly AnyAggregate[];
  /** A share of the aggregates, 0 to 1: all commands of those, the same ones each time. Default 0.01. */
  share?: number | undefined;
  /**
   * Differences that are meant: `order:events[*].data.at`, `value.total`, or a path of any type. A pattern covers the place
   * that it names and what is within it; `*` stands for any type, or any one name or index.
   */
  ignore?: readonly string[] | undefined;
  /** What one command may cost the service's main thread, on average; what would cost more is left out. Default 100. */
  budgetMicros?: number | undefined;
  /**
   * A module whose default export makes what the rehearsed commands see as `context`: by URL or absolute path. Asked for where
   * the runtime has a `context`: that one may reach the outside, and a rehearsal must not.
   */
  context?: string | undefined;
  /** Ends itself when more than this share of the last 100 commands fail where the running release does not. Default 0.1. */
  maxErrorShare?: number | undefined;
  /** So many differences are described, at most; all are counted. Default 1,000. */
  limit?: number | undefined;
  /** Called for each difference that is described. What it throws goes to the logger. */
  on?: ((difference: LiveDifference) => void) | undefined;
  /** Ends it. */
  signal?: AbortSignal | undefined;
}

/** A command that the two releases do not answer alike. */
export interface LiveDifference {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly command: string;
  /** The aggregate's version before the command. */
  readonly version: number;
  /** What the release to come has failed with, where it has, with a message. Messages are not compared. */
  readonly failure: RehearsalFailure | undefined;
  /**
   * Where: the first ten places, as `value.total`, `events[0].data.amount`, `rejection.code`, `sent[1]`, `asked[0].input`,
   * `error.code`. `old` is what happened.
   */
  readonly changes: readonly StateChange[];
  /** How many places there are. */
  readonly changeCount: number;
}

/** Commands that were not compared, by reason. */
export interface LeftOut {
  /** The time of the main thread was used up, or the command is too large for it. */
  readonly budget: number;
  /** The rehearsal is behind: its queue was full. */
  readonly queue: number;
  /** The aggregate's state at that command could not be had: it is not stored yet, or others came between. */
  readonly state: number;
  /** The running release did not execute it, or repeated an earlier outcome. */
  readonly notExecuted: number;
}

/** Why a rehearsal has ended. `held`: a command of the release to come did not return. */
export type LiveEnd = 'stopped' | 'aborted' | 'closed' | 'errors' | 'held' | 'failed';

/** How far a live rehearsal is. */
export interface LiveRehearsalStatus {
  readonly state: 'running' | 'ended';
  readonly endedBy: LiveEnd | undefined;
  /** Why, where it has ended by itself. */
  readonly reason: string | undefined;
  /** Commands that were compared. */
  readonly commands: number;
  /** Those that differ; those that differ in ignored places only are `ignored`. */
  readonly different: number;
  readonly ignored: number;
  /** Among those that differ: the release to come has failed, and the running one has not, or otherwise. */
  readonly errors: number;
  readonly leftOut: LeftOut;
  /** Patterns of `ignore` that have covered no difference so far: is one misspelt? */
  readonly unusedIgnore: readonly string[];
  /** Microseconds of the main thread so far. */
  readonly hostMicros: number;
}

/** What the rehearsal's thread is started with. */
export interface LiveThreadData extends StoredPlace {
  readonly controlBlock: SharedArrayBuffer;
  /** By the runtime's numbers; undefined: not rehearsed. */
  readonly types: readonly (RehearsedType | undefined)[];
  /** Every type of the runtime. */
  readonly allTypes: readonly NamedType[];
  readonly ignore: readonly string[];
  readonly context: string | undefined;
  readonly moduleRoots: readonly string[] | undefined;
  readonly groupLimit: number;
  /** One word: it moves while the thread's event loop does. */
  readonly beat: SharedArrayBuffer;
}

/** An aggregate type by every name that it has or had. */
export interface NamedType {
  readonly names: readonly string[];
  readonly storedType: string;
}

/** `names`: by which either release knows it. */
export interface RehearsedType extends NamedType {
  /** The name and the module of the definition to come. */
  readonly name: string;
  readonly module: string;
  /** The running release's commands: they travel by number. */
  readonly commands: readonly string[];
}

/** One command, with what it came to. */
export interface HandedOver extends TappedCommand {
  /** The aggregate's version after it. */
  readonly version: number;
  /** Of the first of its frames; what is before it is to be stored before the aggregate can be loaded. */
  readonly firstPosition: number;
  readonly flags: number;
  readonly frameCount: number;
  readonly framesBytes: number;
  /** Its frames, then its reply. */
  readonly group: Uint8Array;
  readonly questions: readonly TappedQuestion[];
  /** When it was read, milliseconds since 1970: its events bear their own. */
  readonly readAt: number;
}

export type ToThread =
  | { readonly type: 'commands'; readonly commands: readonly HandedOver[] }
  | { readonly type: 'stop' };

/** What became of one command. */
export interface Judged {
  readonly verdict: 'same' | 'ignored' | 'different' | 'no state' | 'not executed';
  readonly isError: boolean;
  /** Of one that is different. */
  readonly difference: LiveDifference | undefined;
}

export type FromThread =
  | { readonly type: 'importing'; readonly module: string }
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: WireError }
  | { readonly type: 'warning'; readonly message: string; readonly details: Record<string, unknown> }
  | { readonly type: 'judged'; readonly judged: readonly Judged[]; readonly unusedIgnore: readonly string[] };
