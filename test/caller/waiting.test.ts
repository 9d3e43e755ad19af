// Messages that wait take a bounded part of memory, however many there are: while the runtime goes, and after a start. Each is
// carried out once, in the order of its lane, also when the log has given up what waits.
import { mkdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { MessageBox } from '../../src/dead-letters/message-box.ts';
import { Deliveries } from '../../src/dispatch/deliveries.ts';
import type { MessageSender } from '../../src/dispatch/delivery.ts';
import { Held } from '../../src/dispatch/held.ts';
import { Holds } from '../../src/dispatch/holds.ts';
import { readLastRun } from '../../src/dispatch/last-run.ts';
import { Outcomes } from '../../src/dispatch/outcomes.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { eachFrame } from '../../src/log/frames.ts';
import { resolveMessages } from '../../src/model/message-options.ts';
import { messageKeyPrefix } from '../../src/model/receipt.ts';
import { Signal } from '../../src/shared/control-block.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { integerFrom, randomFrom } from '../random.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';
import { MemoryLog } from '../store/sample.ts';

const idOf = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

interface Sent {
  readonly id: string;
  readonly lane: string;
  end(): void;
}

/** A log, a message box and one run of deliveries after another over them; targets answer when the test says so. */
class Mail {
  readonly log = new MemoryLog();
  readonly executed = new Map<string, { lane: string; outcome: number }>();
  readonly order = new Map<string, string[]>();
  /** On their way to their targets. */
  sent: Sent[] = [];
  deliveries!: Deliveries;
  control!: TestControlBlock;
  held!: Held;
  box!: MessageBox;
  private readonly handlerState: StateTables;
  private readonly limit: number;
  private readonly isStoreElsewhere: boolean;
  /** Confirmations of the store that the test has yet to give. */
  readonly confirmations: (() => void)[] = [];
  holdsConfirmations = false;
  private truncatedTo = 0;
  /** What the log would let go: nobody but messages needs it. */
  private settledBefore = 0;
  messages = 0;
  heldMost = 0;

  constructor(limit: number, isStoreElsewhere = false) {
    this.limit = limit;
    this.isStoreElsewhere = isStoreElsewhere;
    const folder = scratchFolder();
    mkdirSync(folder, { recursive: true });
    const settings = { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} };
    this.handlerState = new StateTables(() => LmdbTables.open(folder), settings);
    onTestFinished(() => this.handlerState.close());
    onTestFinished(() => this.deliveries.close());
  }

  async start(): Promise<void> {
    const control = new TestControlBlock();
    this.control = control;
    this.held = new Held(this.limit);
    this.sent = [];
    const sent = this.sent;
    const sendNamed = (_type: string, _command: string, lane: string, ...rest: any[]): Promise<unknown> => {
      const { idempotencyKey, onOutcome } = rest.at(-1);
      const id: string = idempotencyKey.slice(messageKeyPrefix.length);
      const answer = Promise.withResolvers<unknown>();
      const end = (): void => {
        this.execute(id, lane);
        onOutcome(this.executed.get(id)!.outcome);
        answer.resolve({ whenAt: () => (sent === this.sent ? this.confirmed() : new Promise(() => {})) });
        this.turn();
      };
      sent.push({ id, lane, end });
      return answer.promise;
    };
    const progress = { isStoreElsewhere: this.isStoreElsewhere };
    const caller = { sendNamed, reached: async () => {}, closed: undefined, progress } as unknown as MessageSender;
    const events = { refused() {}, parked() {}, heldUp() {} };
    this.deliveries = new Deliveries(caller, control, resolveMessages({}), events, this.held);
    this.box = new MessageBox(this.handlerState, () => true);
    control.publish('written', this.log.last);
    const from = this.settledBefore + 1;
    const lastRun = await readLastRun(this.log, from, this.log.last);
    this.deliveries.recover(lastRun, this.box, await this.box.load(from, lastRun.carriedOut));
    this.turn();
  }

  private confirmed(): Promise<void> {
    if (!this.holdsConfirmations) return Promise.resolve();
    return new Promise((resolve) => this.confirmations.push(resolve));
  }

  /** Once, while the log or its target remembers. */
  execute(id: string, lane: string): void {
    const before = this.executed.get(id);
    if (before !== undefined && before.outcome <= this.truncatedTo) expect.fail(`${id} would be executed twice`);
    if (before !== undefined) return;
    const data = { events: 0, expiresAt: 1 };
    const name = `${messageKeyPrefix}${id}`;
    const outcome = this.log.append([{ kind: FrameKind.receipt, version: 1, id: lane, name, data }]);
    this.executed.set(id, { lane, outcome });
    this.order.set(lane, [...(this.order.get(lane) ?? []), id]);
  }

  /** Ended in the middle: what was on its way is so no longer. */
  async kill(): Promise<void> {
    this.settledBefore = this.control.position('settled');
    this.sent = [];
    this.confirmations.length = 0;
    this.deliveries.close();
    this.deliveries.end();
    await this.box.endRequeue('', 0); // what it had begun to keep is kept
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Messages to these lanes, in one turn of the caller. */
  send(...lanes: readonly string[]): void {
    const data = 'x'.repeat(1000);
    const frame = (id: string) => ({
      ...{ kind: FrameKind.message, version: 1, name: 'add', eventId: idOf(++this.messages) },
      ...{ id, data },
    });
    const first = this.log.last + 1;
    for (const lane of lanes) this.log.append([frame(lane)]);
    eachFrame(this.log, first, this.log.last, (reader, position) => this.deliveries.add(reader, position));
    this.turn();
  }

  turn(): void {
    this.control.publish('written', this.log.last);
    this.deliveries.settledUpTo(this.log.last);
    this.heldMost = Math.max(this.heldMost, this.held.bytes);
  }

  /** The log wants room, and lets go what messages do not need. */
  wantRoom(isWanted: boolean): void {
    this.control.publish('floor', this.log.last + 1);
    this.control.setFlag(Signal.heldByMessages, isWanted ? 1 : 0);
    this.truncatedTo = Math.max(this.truncatedTo, this.control.position('settled'));
    this.settledBefore = this.truncatedTo;
    this.log.truncateBelow(this.truncatedTo + 1);
    this.turn();
  }

  /** All that is on its way ends, and what comes then, until nothing waits. */
  async drain(): Promise<void> {
    await until(
      async () => {
        for (let turns = 0; turns < 20; turns++) {
          for (const { end } of this.sent.splice(0)) end();
          for (const confirm of this.confirmations.splice(0)) confirm();
          await new Promise((resolve) => setImmediate(resolve));
          this.turn();
        }
        return [this.deliveries.counts.underWay, this.control.position('settled')];
      },
      ([count, settled]) => count === 0 && settled === this.log.last,
      60_000,
    );
  }

  expectAllDone(): void {
    expect([this.executed.size, this.held.bytes, this.box.waitingBytes]).toEqual([this.messages, 0, 0]);
    for (const ids of this.order.values()) expect(ids).toEqual([...ids].sort());
  }
}

const limit = 128 << 10;
/** A stretch of the log, or a turn, may bring so much beyond the limit. */
const most = limit + (1 << 20);
const lanes = (count: number, perLane: number): string[] =>
  Array.from({ length: count * perLane }, (_, i) => `lane-${i % count}`);
const ready = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test.each([
  ['few lanes', 4, 300],
  ['many lanes', 600, 2],
])(
  'messages to %s that wait take a bounded part of memory, while they come and after a start',
  async (_, count, each) => {
    const mail = new Mail(limit);
    await mail.start();
    const all = lanes(count, each);
    for (let at = 0; at < all.length; at += 10) mail.send(...all.slice(at, at + 10));
    expect([mail.deliveries.counts.underWay, mail.control.position('settled')]).toEqual([1200, 0]);
    await mail.kill();
    await mail.start();
    await ready();
    mail.turn();
    expect(mail.deliveries.counts.underWay).toBe(1200);
    await mail.drain();
    expect(mail.heldMost).toBeLessThan(most); // in all they would take three times as much
    mail.expectAllDone();
  },
);

test('a lane whose target takes its time holds up no other, however much waits in it', async () => {
  const mail = new Mail(limit);
  await mail.start();
  for (let turns = 0; turns < 40; turns++) mail.send(...lanes(2, 10));
  mail.send('another');
  await ready();
  expect(mail.sent.map(({ lane }) => lane)).toEqual(['lane-0', 'lane-1', 'another']);
  expect(mail.heldMost).toBeLessThan(limit);
  await mail.drain();
  mail.expectAllDone();
});

test('the log gives up messages that wait outside of memory, and they are carried out all the same, also after a start', async () => {
  const mail = new Mail(limit);
  await mail.start();
  for (let at = 0; at < 40; at++) mail.send(...lanes(10, 1), ...lanes(200, 1).slice(at * 5, at * 5 + 5));
  const given = async (): Promise<void> => {
    await until(
      () => {
        mail.wantRoom(true);
        return mail.control.position('settled');
      },
      (settled) => settled === mail.log.last,
    );
    mail.wantRoom(false);
  };
  await given();
  expect(await mail.box.waitingFrom(0, 1000)).toHaveLength(600);
  mail.send('lane-0', 'lane-150');
  await mail.kill();
  await mail.start();
  expect(mail.deliveries.counts.underWay).toBe(602);
  await given();
  await mail.drain();
  expect(mail.heldMost).toBeLessThan(most);
  mail.expectAllDone();
});

test.each([
  ['in memory', ['a']],
  ['behind another one', ['a', 'a']],
  ['beyond what has been taken', lanes(300, 1)],
])(
  'the log keeps the outcome of a message that a start finds %s, while the box has the message',
  async (_, targets) => {
    const mail = new Mail(4096, true);
    await mail.start();
    mail.send(...targets);
    const last = mail.messages;
    mail.execute(idOf(last), targets.at(-1)!);
    await mail.kill();
    await mail.start();
    await until(
      async () => {
        mail.wantRoom(true);
        return [(await mail.box.waitingFrom(0, 1000)).length, mail.control.position('settled')];
      },
      ([kept, settled]) => kept === last && (last === 300 || settled === last || settled === last + 1),
    );
    for (let turns = 0; turns < 5; turns++) {
      await ready();
      mail.wantRoom(false);
    }
    expect(mail.control.position('settled')).toBeLessThanOrEqual(last);
    await mail.drain();
    expect([mail.executed.size, mail.held.bytes, mail.box.waitingBytes]).toEqual([last, 0, 0]);
  },
);

test('whatever comes, ends, is kept and is found again, each message is carried out once, in the order of its lane', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const random = randomFrom(seed);
    const mail = new Mail(integerFrom(random, 1, 6) * 8192, seed % 2 === 0);
    mail.holdsConfirmations = seed % 4 === 0;
    await mail.start();
    for (let round = 0; round < 120; round++) {
      const chance = random();
      if (chance < 0.5) mail.send(...Array.from({ length: integerFrom(random, 1, 12) }, () => laneBy(random)));
      else if (chance < 0.8) {
        // Some of those on their way are stuck for long.
        const few = mail.sent.filter(({ lane }) => !lane.endsWith('0') || random() < 0.02);
        for (const one of few.slice(0, 5)) {
          mail.sent.splice(mail.sent.indexOf(one), 1);
          one.end();
        }
        mail.confirmations.shift()?.();
      } else if (chance < 0.95) mail.wantRoom(random() < 0.7);
      else {
        await mail.kill();
        await mail.start();
      }
      for (let turns = integerFrom(random, 0, 2); turns > 0; turns--) await ready();
      if (random() < 0.1) await new Promise((resolve) => setTimeout(resolve, 5)); // what is kept becomes durable
    }
    mail.wantRoom(false);
    await mail.drain();
    mail.expectAllDone();
  }
});

const laneBy = (random: () => number): string => `lane-${Math.floor(30 * random() ** 2)}`;

test('a hold that is released behind one that lasts keeps no message in memory', () => {
  const holds = new Holds<object>(new TestControlBlock());
  holds.begin();
  holds.add(1, {});
  for (let position = 2; position < 10_000; position++) holds.release(holds.add(position, {}));
  expect(holds.size).toBeLessThan(200);
});

test('the outcomes of a last run are found by their messages, as a map would', () => {
  const random = randomFrom(7);
  const outcomes = new Outcomes(new MemoryLog());
  const wanted = new Set<string>();
  for (let i = 0; i < 8_000; i++) {
    const id = idOf(integerFrom(random, 1, 3_000));
    if (random() < 0.6) {
      outcomes.set(id, i + 1, false);
      wanted.add(id);
    } else {
      outcomes.delete(id);
      wanted.delete(id);
    }
  }
  expect(outcomes.size).toBe(wanted.size);
  for (let n = 1; n <= 3_000; n++) expect(outcomes.has(idOf(n))).toBe(wanted.has(idOf(n)));
});
