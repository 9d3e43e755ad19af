// Every aggregate's history under both releases: by type, then in the order of their ids.
//
// One at a time (a few, where each costs a network's round trip), since memory is bounded then by the longest history, as for a
// load, and since an aggregate that a side fails on stops itself alone. The order in which events were stored would be read
// faster, and would need the states of all aggregates at once.

import { crc32 } from 'node:zlib';
import { invalid } from '../base/checks.ts';
import { performance, yieldToLoop } from '../base/clock.ts';
import { compareKeys } from '../base/key-order.ts';
import type { FrameArchive } from '../store/store.ts';
import type { Rehearsal, RehearsalCounts, RehearsalDifference, RehearsalOptions } from './contract.ts';
import { type History, openHistory } from './history.ts';
import { ComparedAggregate, type StoredAggregate, type TimeSpan, type Verdict } from './one-aggregate.ts';
import { checkOptions } from './options.ts';
import { type Pair, type Pairs, pairsOf } from './pairs.ts';
import { IgnoredPlaces } from './paths.ts';

const turnMs = 20;
const progressMs = 1_000;
const differencesMost = 20;

type Wanted = Omit<RehearsalOptions, 'old' | 'new' | 'dataDir' | 'store'>;

/** See `rehearse` (rehearse.ts). */
export async function runRehearsal(given: RehearsalOptions): Promise<Rehearsal> {
  const options = checkOptions(given);
  const pairs = pairsOf(options.old, options.new);
  const { aggregateType: type } = options;
  if (type !== undefined && !pairs.pairs.some((pair) => pair.names.has(type))) {
    invalid('aggregateType', type, 'is no aggregate that both `old` and `new` have');
  }
  const from = options.from && { ...options.from, aggregateType: startOf(options.from.aggregateType, pairs) };
  const history = await openHistory(options);
  try {
    return await new Run(history, pairs, { ...options, from }).all();
  } finally {
    await history.close();
  }
}

/** The stored name of the type to go on with, which types are in the order of. */
function startOf(type: string, { pairs }: Pairs): string {
  const pair = pairs.find(({ name }) => name === type) ?? pairs.find(({ names }) => names.has(type));
  return pair?.name ?? invalid('from.aggregateType', type, 'is no aggregate that both `old` and `new` have');
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
  private readonly counts = { different: 0, ignored: 0, failedAlike: 0, incomplete: 0 };
  private readonly began = performance.now();
  private turnEnds = this.began + turnMs;
  private progressAt = this.began + progressMs;

  constructor(history: History, sides: Pairs, wanted: Wanted) {
    this.history = history.archive;
    this.atOnce = history.atOnce;
    this.notStored = history.notStored;
    this.sides = sides;
    this.wanted = wanted;
    const { since, until, ignore = [] } = wanted;
    this.span = {
      since: since?.getTime() ?? Number.NEGATIVE_INFINITY,
      until: until?.getTime() ?? Number.POSITIVE_INFINITY,
    };
    const everyName = sides.pairs.flatMap((pair) => [...pair.names].map((name) => [name, pair.name] as const));
    this.ignored = new IgnoredPlaces(ignore, new Map(everyName));
  }

  async all(): Promise<Rehearsal> {
    const { from, signal, aggregateType: type } = this.wanted;
    const { pairs, onlyOld, onlyNew } = this.sides;
    const running: Promise<RehearsalDifference | undefined>[] = [];
    let next: Rehearsal['next'];
    for (const pair of pairs) {
      if (type !== undefined && !pair.names.has(type)) continue;
      if (from !== undefined && compareKeys(pair.name, from.aggregateType) < 0) continue;
      for await (const stored of this.aggregatesOf(pair)) {
        if (signal?.aborted) {
          next = { aggregateType: pair.name, aggregateId: stored.id };
          break;
        }
        running.push(startedEarly(this.compare(pair, stored)));
        if (running.length >= this.atOnce) this.take(await running.shift());
        if (performance.now() >= this.turnEnds) await this.letOthersRun();
      }
      if (next !== undefined) break;
    }
    for (const last of running) this.take(await last);
    return { ...this.progress, differences: this.differences, onlyOld, onlyNew, notStored: this.notStored, next };
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
      if (sample < 1 && crc32(`${name}/${head.id}`) >= sample * 2 ** 32) continue;
      yield head;
    }
  }

  /** Its difference, if it is to be described. */
  private async compare(pair: Pair, stored: StoredAggregate): Promise<RehearsalDifference | undefined> {
    const { counts } = this;
    const aggregate = new ComparedAggregate(this.history, pair, stored, this.span, this.ignored.of(pair.name));
    const verdict = await aggregate.judge();
    if (verdict === 'outside') return undefined;
    this.aggregateCount++;
    this.eventCount += aggregate.events;
    const field = fieldOf[verdict];
    if (field !== undefined) counts[field]++;
    if (verdict !== 'different' || this.described >= (this.wanted.limit ?? differencesMost)) return undefined;
    this.described++;
    return aggregate.describe();
  }

  private take(difference: RehearsalDifference | undefined): void {
    if (difference !== undefined) this.differences.push(difference);
  }

  /** The process has other work, too, and a signal comes in a turn of its own. */
  private async letOthersRun(): Promise<void> {
    await yieldToLoop();
    const now = performance.now();
    this.turnEnds = now + turnMs;
    if (now < this.progressAt) return;
    this.progressAt = now + progressMs;
    this.wanted.onProgress?.(this.progress);
  }

  private get progress(): RehearsalCounts {
    const { aggregateCount: aggregates, eventCount: events } = this;
    return { aggregates, events, ...this.counts, seconds: (performance.now() - this.began) / 1000 };
  }
}

/** It is awaited in its turn, or not at all where another one has failed before. */
function startedEarly<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {});
  return work;
}

const fieldOf: Readonly<Record<Verdict, 'different' | 'ignored' | 'failedAlike' | 'incomplete' | undefined>> = {
  same: undefined,
  outside: undefined,
  different: 'different',
  ignored: 'ignored',
  'failed alike': 'failedAlike',
  incomplete: 'incomplete',
};
