// The line of timers in memory is shorter than what waits: the others come from the tables when it is nearly their turn. Random sets,
// replacements, cancels, leaps of the date and restarts, against what each key should do; and the log may forget what is done, no more.

import '../leap.ts';

import { expect, onTestFinished, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import type { Watch } from '../../src/dispatch/relief.ts';
import type { HeldChange, TimerFeed } from '../../src/dispatch/timer-feed.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { Timers } from '../../src/timers/timers.ts';
import { laneOf, type Message } from '../../src/wire/message.ts';
import type { Timer, TimerChange } from '../../src/wire/timer.ts';
import { leapTo } from '../leap.ts';
import { integerFrom, type Random, randomFrom } from '../random.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';

const hourMs = 3_600_000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Written {
  readonly change: TimerChange;
  isReleased: boolean;
}

/** A log, the tables, and a line of eight in memory, which can be started again. */
class World {
  readonly wrong: string[] = [];
  readonly executed = new Map<string, { outcome: number; isSettled: boolean; life: number }>();
  /** In the order in which they were delivered. */
  readonly order: Message[] = [];
  readonly log: Written[] = [];
  /** The newest timer of each key that nothing has cancelled; until it is executed. */
  readonly pending = new Map<string, Timer>();
  private readonly folder = scratchFolder();
  private readonly random: Random;
  /** What comes in the turn in which a move begins. */
  readonly whileMoved: (() => void)[] = [];
  private position = 0;
  private hour = 0;
  private readonly base = Date.now();
  private timers!: Timers;
  private state!: StateTables;
  private take!: (change: HeldChange) => void;
  private life = 0;
  private from = 0;

  constructor(random: Random) {
    this.random = random;
  }

  async start(inMemoryMost = 8): Promise<void> {
    const life = ++this.life;
    const open = (): Promise<LmdbTables> => LmdbTables.open(this.folder);
    this.state = new StateTables(open, { checkpointDelayMs: 0, stagedChangesLimit: 1_000, onError() {} });
    const feed = { follow: (take: typeof this.take) => (this.take = take) } as unknown as TimerFeed;
    this.timers = new Timers({
      feed,
      delivery: { hasRoom: true, due: (message, watch) => void this.deliver(message, watch, life) },
      tables: new MessageBox(this.state, () => true).timers,
      synced: async () => {},
      inMemoryMost,
      keptAfterMs: 3,
    });
    const from = this.floor;
    this.from = from;
    const isDone = (id: string): boolean => (this.executed.get(id)?.outcome ?? 0) >= from;
    await this.timers.begin(async (replay) => {
      for (const written of this.log) {
        if (written.change.position < from) continue;
        const held = this.held(written);
        const { timer } = held;
        await replay(
          timer !== undefined && isDone(timer.message.id) ? { ...held, timer: { ...timer, dueMs: 0 } } : held,
        );
      }
    });
    await this.timers.finish(isDone);
  }

  async stop(): Promise<void> {
    this.timers.close();
    this.life++;
    await this.state.close();
  }

  /** What the log has from there on. */
  private get floor(): number {
    const changes = this.log.filter(({ isReleased }) => !isReleased).map(({ change }) => change.position);
    const outcomes = [...this.executed.values()].filter(({ isSettled }) => !isSettled).map(({ outcome }) => outcome);
    return Math.min(this.position + 1, ...changes, ...outcomes);
  }

  private held(written: Written): HeldChange {
    const life = this.life;
    const release = (): void => {
      if (life === this.life) written.isReleased = true;
    };
    written.isReleased = false;
    return { ...written.change, release };
  }

  private add(name: string, dueMs: number | undefined): Timer | undefined {
    const position = ++this.position;
    const sender = { aggregateType: '', aggregateId: name };
    const message: Message = {
      ...{ id: `m${position}`, position, sender, aggregateType: 'alarm', aggregateId: 'a' },
      ...{ command: 'ring', inputJson: '[]', metadataJson: '' },
    };
    const timer = dueMs === undefined ? undefined : { message, dueMs };
    const key = laneOf(message);
    if (timer === undefined) this.pending.delete(key);
    else this.pending.set(key, timer);
    const written = { change: { key, position, timer }, isReleased: false };
    this.log.push(written);
    this.take(this.held(written));
    return timer;
  }

  set(name: string, inHours: number): void {
    this.add(name, this.base + (this.hour + inHours) * hourMs);
  }

  cancel(name: string): void {
    this.add(name, undefined);
  }

  /** As a user does it; several at once. */
  async move(name: string, ...inHours: number[]): Promise<void> {
    for await (const timer of this.timers.all()) {
      const { message } = timer;
      if (message.sender!.aggregateId !== name) continue;
      const dues = inHours.map((hours) => this.base + (this.hour + hours) * hourMs);
      const moves = dues.map((dueMs) => this.timers.change(timer, dueMs));
      this.pending.set(laneOf(message), { message, dueMs: dues.at(-1)! });
      for (const work of this.whileMoved.splice(0)) work();
      await Promise.all(moves);
      return;
    }
  }

  /** So many hours pass. */
  pass(hours: number): void {
    this.hour += hours;
    leapTo(this.hour * hourMs + hourMs / 2);
  }

  private async deliver(message: Message, watch: Watch, life: number): Promise<void> {
    const key = laneOf(message);
    const known = this.executed.get(message.id);
    const waiting = this.pending.get(key);
    const isEarly = waiting?.message.id === message.id && waiting.dueMs > Date.now();
    if (known === undefined && isEarly) this.wrong.push(`${message.id} was delivered early`);
    this.order.push(message);
    if (known === undefined) {
      for (let turns = integerFrom(this.random, 0, 3); turns > 0; turns--) await turn();
      if (life !== this.life) return;
    }
    if (known === undefined && !watch.isOver()) {
      const timer = this.pending.get(key);
      if (timer?.message.id !== message.id)
        this.wrong.push(`${message.id} was executed, though ${timer?.message.id} waits`);
      else this.pending.delete(key);
      this.executed.set(message.id, { outcome: ++this.position, isSettled: false, life });
      for (let turns = integerFrom(this.random, 0, 3); turns > 0; turns--) await turn();
    } else if (known !== undefined) {
      // That the log has its outcome only a start finds.
      if (known.outcome < this.from || known.life === life) this.wrong.push(`${message.id} came again`);
      known.isSettled = false;
    }
    if (life !== this.life) return;
    await watch.release(message);
    if (life !== this.life) return;
    const outcome = this.executed.get(message.id);
    if (outcome !== undefined) Object.assign(outcome, { isSettled: true, life });
    watch.ended();
  }

  /** All that is due is executed. */
  async settled(): Promise<void> {
    this.set('poke', -1);
    const due = (): Timer[] => [...this.pending.values()].filter(({ dueMs }) => dueMs <= Date.now());
    await until(due, ({ length }) => length === 0 || this.wrong.length > 0);
  }

  /** Nothing is left anywhere. */
  async isDone(): Promise<void> {
    await this.settled();
    const left = async (): Promise<string[]> => {
      const found = this.log
        .filter(({ isReleased }) => !isReleased)
        .map(({ change }) => `${change.position} in the log`);
      for await (const { message } of new MessageBox(this.state, () => true).timers.all()) found.push(message.id);
      return found;
    };
    await until(left, ({ length }) => length === 0 || this.wrong.length > 0);
  }
}

async function world(seed: number, inMemoryMost?: number): Promise<World> {
  const made = new World(randomFrom(seed));
  await made.start(inMemoryMost);
  onTestFinished(async () => {
    await made.stop();
    leapTo(0);
  });
  return made;
}

test('those that do not fit into memory come in their order', async () => {
  const made = await world(1);
  for (let i = 0; i < 100; i++) made.set(`n${(i * 37) % 100}`, 1 + ((i * 37) % 100));
  for (let hour = 0; hour < 100; hour += 7) {
    made.pass(7);
    await made.settled();
  }
  made.pass(7);
  await made.isDone();
  expect(made.wrong).toEqual([]);
  const names = made.order.map(({ sender }) => sender!.aggregateId).filter((name) => name !== 'poke');
  expect(names).toEqual(Array.from({ length: 100 }, (_, i) => `n${i}`));
});

test.each(Array.from({ length: process.env.TRUNKLINE_LONG ? 200 : 5 }, (_, i) => i + 1))(
  'against a model, seed %i',
  async (seed) => {
    const random = randomFrom(seed);
    const made = await world(seed);
    for (let step = 0; step < 300; step++) {
      const name = `n${integerFrom(random, 1, 60)}`;
      const what = random();
      if (what < 0.55) made.set(name, integerFrom(random, 0, random() < 0.3 ? 2 : 40));
      else if (what < 0.75) made.cancel(name);
      else if (what < 0.9)
        made.pass(integerFrom(random, -1, 3)); // the date may go back
      else if (what < 0.96) await turn();
      else if (what < 0.98) await made.settled();
      else if (what < 0.99) await new Promise((resolve) => setTimeout(resolve, integerFrom(random, 0, 8)));
      else {
        await made.stop();
        await made.start();
      }
      if (made.wrong.length > 0) break;
    }
    made.pass(100);
    await made.isDone();
    expect(made.wrong).toEqual([]);
  },
);

test.each([
  ['in memory', 100],
  ['in the tables', 4],
])('a command that comes while a user moves its timer has the last word: %s', async (_, inMemoryMost) => {
  const made = await world(1, inMemoryMost);
  for (let i = 0; i < 12; i++) made.set(`n${i}`, 30 + i);
  for (const name of ['cancelled', 'replaced', 'moved']) made.set(name, 50);
  made.whileMoved.push(() => made.cancel('cancelled'));
  await made.move('cancelled', 1);
  made.whileMoved.push(() => made.set('replaced', 0));
  await made.move('replaced', 2);
  await made.move('moved', 70, 3);
  for (let hour = 0; hour < 60; hour++) {
    made.pass(1);
    await made.settled();
  }
  await made.isDone();
  expect(made.wrong).toEqual([]);
  await made.stop();
  await made.start();
  await made.isDone();
  expect(made.wrong).toEqual([]);
});
