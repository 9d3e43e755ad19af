// Every aggregate's history under both releases: by type, then in the order of their ids.
//
// One at a time (a few, where each costs a network's round trip), since memory is bounded then by the longest history, as for a
// load, and since an aggregate that a side fails on stops itself alone. The order in which events were stored would be read
// faster, and would need the states of all aggregates at once.

import { performance } from '../base/clock.ts';
import { compareKeys } from '../base/key-order.ts';
import type { FrameArchive } from '../store/store.ts';
import { type Pair, type Pairs, pairOf, pairsOf } from './compare/pairs.ts';
import { IgnoredPlaces } from './compare/paths.ts';
import { isInShare } from './compare/share.ts';
import type { Rehearsal, RehearsalCounts, RehearsalDifference, RehearsalOptions } from './contract.ts';
import { type History, openHistory } from './history.ts';
import { ComparedAggregate, type StoredAggregate, type TimeSpan, type Verdict } from './one-aggregate.ts';
import { checkOptions } from './options.ts';
import { Turns } from './turns.ts';

const differencesMost = 20;

/** What has become of one aggregate. */
interface Outcome {
  readonly pair: Pair;
  readonly id: string;
  readonly verdict: Verdict;
  readonly events: number;
  /** If it is to be described. */
  readonly difference: RehearsalDifference | undefined;
}

type Wanted = Omit<RehearsalOptions, 'old' | 'new' | 'dataDir' | 'store'>;

/** See `rehearse` (rehearse.ts). */
export async function runRehearsal(given: RehearsalOptions): Promise<Rehearsal> {
  const options = checkOptions(given);
  const pairs = pairsOf(options.old, options.new);
  const { aggregateType: type } = options;
  if (type !== undefined) pairOf('aggregateType', type, pairs.pairs);
  // Its stored name, which types are in the order of.
  const from = options.from && {
    ...options.from,
    aggregateType: pairOf('from.aggregateType', options.from.aggregateType, pairs.pairs).name,
  };
  const history = await openHistory(options);
  try {
    return await new Run(history, pairs, { ...options, from }).all();
  } finally {
    await history.close();
  }
}

class Run {
  private readonly history: FrameArchive;
  private readonly atOnce: number;
  private readonly notStored: number;
  private readonly sides: Pairs;
  private readonly wanted: Wanted;
  private readonly span: TimeSpan;
  private readonly ignored: IgnoredPlaces;
  private readonly differences: RehearsalDifference[] = [];
  private described = 0;
  private aggregateCount = 0;
  private eventCount = 0;
  private leftOut = 0;
  private readonly counts = { different: 0, ignored: 0, failedAlike: 0, incomplete: 0 };
  private readonly began = performance.now();
  private readonly turns: Turns;
  private next: Rehearsal['next'];

  constructor(history: History, sides: Pairs, wanted: Wanted) {
    this.history = history.archive;
    this.atOnce = history.atOnce;
    this.notStored = history.notStored;
    this.sides = sides;
    this.wanted = wanted;
    this.turns = new Turns(wanted.signal, () => wanted.onProgress?.(this.progress));
    const { since, until, ignore = [] } = wanted;
    this.span = {
      since: since?.getTime() ?? Number.NEGATIVE_INFINITY,
      until: until?.getTime() ?? Number.POSITIVE_INFINITY,
    };
    const everyName = sides.pairs.flatMap((pair) => [...pair.names].map((name) => [name, pair.name] as const));
    this.ignored = new IgnoredPlaces(ignore, new Map(everyName));
  }

  async all(): Promise<Rehearsal> {
    const { turns } = this;
    const { from, aggregateType: type } = this.wanted;
    const { pairs, onlyOld, onlyNew, entities } = this.sides;
    const running: Promise<Outcome>[] = [];
    let isEnded = false;
    for (const pair of pairs) {
      if (type !== undefined && !pair.names.has(type)) continue;
      if (from !== undefined && compareKeys(pair.name, from.aggregateType) < 0) continue;
      for await (const stored of this.aggregatesOf(pair)) {
        if (turns.isEnded) {
          running.push(Promise.resolve(outcomeOf(pair, stored.id, 'ended')));
          isEnded = true;
          break;
        }
        running.push(startedEarly(this.compare(pair, stored)));
        if (running.length >= this.atOnce) this.take((await running.shift())!);
        if (turns.isOver) await turns.next();
      }
      if (isEnded) break;
    }
    for (const last of running) this.take(await last);
    return {
      ...this.progress,
      differences: this.differences,
      onlyOld,
      onlyNew,
      entities,
      leftOut: this.leftOut,
      unusedIgnore: this.ignored.unused,
      notStored: this.notStored,
      next: this.next,
    };
  }

  private async *aggregatesOf({ name }: Pair): AsyncGenerator<StoredAggregate> {
    const { aggregateId: id, from, sample = 1 } = this.wanted;
    if (id !== undefined) {
      const head = await this.history.head(name, id);
      if (head !== undefined) yield { id, ...head };
      return;
    }
    const first = from?.aggregateType === name ? from.aggregateId : '';
    for await (const head of this.history.heads(name)) {
      if (first !== '' && compareKeys(head.id, first) < 0) continue;
      if (!isInShare(name, head.id, sample)) this.leftOut++;
      else yield head;
    }
  }

  private async compare(pair: Pair, stored: StoredAggregate): Promise<Outcome> {
    const ignored = this.ignored.of(pair.name);
    const aggregate = new ComparedAggregate(this.history, pair, stored, {
      span: this.span,
      ignored,
      turns: this.turns,
    });
    const verdict = await aggregate.judge();
    const { events } = aggregate;
    if (verdict !== 'different' || this.described >= (this.wanted.limit ?? differencesMost)) {
      return outcomeOf(pair, stored.id, verdict, events);
    }
    this.described++;
    const difference = await aggregate.describe();
    return outcomeOf(pair, stored.id, difference === undefined ? 'ended' : verdict, events, difference);
  }

  /** In their order: one that was ended, and what comes behind it, is left to the next rehearsal. */
  private take({ pair, id, verdict, events, difference }: Outcome): void {
    if (this.next !== undefined) return;
    if (verdict === 'outside') {
      this.leftOut++;
      return;
    }
    if (verdict === 'ended') {
      this.next = { aggregateType: pair.name, aggregateId: id };
      return;
    }
    this.aggregateCount++;
    this.eventCount += events;
    const field = fieldOf[verdict];
    if (field !== undefined) this.counts[field]++;
    if (difference !== undefined) this.differences.push(difference);
  }

  private get progress(): RehearsalCounts {
    const { aggregateCount: aggregates, eventCount: events } = this;
    return { aggregates, events, ...this.counts, seconds: (performance.now() - this.began) / 1000 };
  }
}

const outcomeOf = (
  pair: Pair,
  id: string,
  verdict: Verdict,
  events = 0,
  difference?: RehearsalDifference,
): Outcome => ({ pair, id, verdict, events, difference });

/** It is awaited in its turn, or not at all where another one has failed before. */
function startedEarly<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {});
  return work;
}

const fieldOf: Readonly<Record<Verdict, 'different' | 'ignored' | 'failedAlike' | 'incomplete' | undefined>> = {
  same: undefined,
  outside: undefined,
  ended: undefined,
  different: 'different',
  ignored: 'ignored',
  'failed alike': 'failedAlike',
  incomplete: 'incomplete',
};
