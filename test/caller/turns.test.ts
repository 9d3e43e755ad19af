// The caller's turns, with one thread playing all sides: what no exception stops, and rings through which more than 32 bits
// of bytes have gone since one side last looked.
import { afterEach, expect, test } from 'vitest';
import { Bus } from '../../src/bus/bus.ts';
import { CommandTaps } from '../../src/dispatch/command-taps.ts';
import { CommandDispatcher } from '../../src/dispatch/dispatcher.ts';
import type { OtherRing } from '../../src/dispatch/in-flight.ts';
import { ShardChannel } from '../../src/dispatch/shard-channel.ts';
import { StoreAnswers } from '../../src/dispatch/store-answers.ts';
import { type MessageTaker, Turns } from '../../src/dispatch/turns.ts';
import { Evolution } from '../../src/model/evolution.ts';
import { Signal } from '../../src/shared/control-block.ts';
import { countOpening, LogRoom } from '../../src/shared/log-signals.ts';
import { Notifier, Parker } from '../../src/shared/notifier.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { beginRingsAt, createRing, GroupFlag, GroupKind, Word } from '../../src/shared/ring/ring.ts';
import { FrameKind, FrameReader } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { Held } from '../runtime/held.ts';

const options = {
  ack: 'written',
  maxInFlight: 100,
  whenFull: 'wait',
  logLimitBytes: 1 << 30,
  hasStream: false,
  waitTimeoutMs: 60_000,
  isStoreElsewhere: false,
  todaysType: String,
} as const;

const noMessages: MessageTaker = { isReliefDue: false, add() {}, settledUpTo() {}, fenced() {} };

afterEach(() => beginRingsAt(0));

class Scene {
  readonly control = new TestControlBlock();
  readonly reported: unknown[] = [];
  readonly bus = new Bus(() => {
    throw new Error('the handler of listeners errors');
  });
  readonly dispatcher: CommandDispatcher;
  readonly turns: Turns;
  readonly channel: ShardChannel;
  /** The shard's bell, as any sleeper's. */
  readonly shardWords = new Int32Array(new SharedArrayBuffer(4));
  private readonly commands: RingConsumer;
  private readonly shard: RingProducer;
  private readonly log: RingConsumer;
  private position = 0;

  constructor(ringBytes = 1 << 16, deliveries: MessageTaker = noMessages) {
    const [commandRing, eventRing] = [createRing(ringBytes), createRing(ringBytes)];
    const answers = new StoreAnswers();
    this.dispatcher = new CommandDispatcher([Held], this.control, options, answers);
    const { inFlight, progress, refusals } = this.dispatcher;
    const taps = new CommandTaps();
    const parts = {
      inFlight,
      progress,
      refusals,
      answers,
      deliveries,
      timers: { add() {} },
      taps,
      entityEvents: Evolution.none,
      sender: this.dispatcher,
    };
    this.turns = new Turns(parts, this.control, this.bus, (error) => this.reported.push(error));
    this.channel = new ShardChannel(0, commandRing, eventRing, new Notifier(this.shardWords, 0));
    this.dispatcher.inFlight.channels.push(this.channel);
    this.commands = new RingConsumer(commandRing);
    this.shard = new RingProducer(eventRing, () => false);
    this.log = new RingConsumer(eventRing, Word.written);
  }

  /** The slots of the commands that the shard takes now. */
  take(): number[] {
    const slots: number[] = [];
    for (; this.commands.take(this.commands.published()); this.commands.release()) slots.push(this.commands.slot);
    return slots;
  }

  event(kind: FrameKind = FrameKind.event): void {
    this.shard.frame(kind, 1, 0, 1, 'held', 'a', 'Added', '', '{"pad":""}');
  }

  /** `bytes`: what the group takes beyond what is in it. */
  reply(slot: number, flags: number, bytes = 0, json = ''): void {
    this.shard.end += bytes;
    this.shard.publish(GroupKind.reply, flags, slot, 1, json);
  }

  /** The log thread's part. */
  write(): void {
    const limit = this.log.published();
    while (this.log.take(limit)) {
      this.log.firstPosition = this.position + 1;
      this.position += this.log.frameCount;
    }
    this.control.publish('appended', this.position);
    this.log.publishWritten();
    this.control.publish('written', this.position);
  }

  get published(): number {
    return this.shard.published;
  }
}

test.each([0, 2 ** 31 - 4096, 2 ** 32 - 4096])(
  'a command at `raised` is answered, wherever the counts stand: from %d',
  async (begin) => {
    beginRingsAt(begin);
    const scene = new Scene(1 << 24);
    const ref = (ack: 'raised' | 'written') => scene.dispatcher.send(0, 1, 'a', [], { ack });
    const urgently = async (): Promise<void> => {
      const asked = ref('raised');
      const [slot] = scene.take();
      scene.reply(slot!, GroupFlag.ackOnRaise | GroupFlag.value, 0, '1');
      scene.turns.turn(); // it is not written yet
      expect((await asked).value).toBe(1);
      scene.write();
      scene.turns.turn();
      expect(scene.dispatcher.inFlight.count).toBe(0);
    };
    for (let bytes = 0; bytes < 5 * 2 ** 30; bytes = scene.published) {
      scene.reply(99, GroupFlag.nothing, (1 << 23) - 1024);
      scene.write();
      scene.turns.turn();
      // Every 32-bit distance to where the uncommitted reader stands is met once.
      if (bytes % 2 ** 30 < 2 ** 23) await urgently();
    }
    await urgently();
    expect(scene.reported).toEqual([]);
  },
);

test('after 5 GiB without a command at `raised`, one is answered', async () => {
  const scene = new Scene(1 << 24);
  for (const gibibytes of [2, 2.5, 3, 4, 5, 7.5]) {
    while (scene.published < gibibytes * 2 ** 30) {
      scene.reply(99, GroupFlag.nothing, (1 << 23) - 1024);
      scene.write();
      scene.turns.turn();
    }
    const asked = scene.dispatcher.send(0, 1, 'a', [], { ack: 'raised' });
    scene.reply(scene.take()[0]!, GroupFlag.ackOnRaise | GroupFlag.nothing);
    scene.turns.turn();
    expect((await asked).value).toBeUndefined();
    scene.write();
    scene.turns.turn();
  }
});

test('a receipt of what was only raised, and is lost, says so to whoever waits for more', async () => {
  const scene = new Scene();
  const asked = scene.dispatcher.send(0, 1, 'a', [], { ack: 'raised' });
  scene.event();
  scene.reply(scene.take()[0]!, GroupFlag.ackOnRaise | GroupFlag.nothing);
  scene.turns.turn();
  const receipt = await asked;
  const reached = receipt.reached('written');
  const aborted = receipt.reached('stored', { signal: AbortSignal.abort(new Error('not waiting')) });
  await expect(aborted).rejects.toThrow('not waiting');
  scene.dispatcher.inFlight.fail(Object.assign(new Error('the log is poisoned')) as never);
  await expect(reached).rejects.toThrow('the log is poisoned');
  await expect(receipt.reached('synced')).rejects.toThrow('the log is poisoned');
});

test('nothing that is thrown in a turn leaves it, or keeps anything else from its turn', async () => {
  const fail = (what: string) => (): never => {
    throw new Error(what);
  };
  const scene = new Scene(1 << 16, { ...noMessages, add: fail('message'), settledUpTo: fail('settled') });
  const { dispatcher, reported } = scene;
  const ended: string[] = [];
  /** A ring of this thread with one group that is written, and everything of which throws. */
  const other = (name: string, endTurn: () => void): OtherRing => {
    const ring = createRing(1 << 16);
    new RingProducer(ring, () => false).publish(GroupKind.publish, 0, 0, 0, '');
    const log = new RingConsumer(ring, Word.written);
    log.take(log.published());
    log.firstPosition = 1;
    log.publishWritten();
    const groups = new RingConsumer(ring);
    const onGroup = fail(`${name}: group`);
    return {
      groups,
      frame: new FrameReader(groups.bytes),
      onGroup,
      hasWaiting: () => true,
      endTurn,
      fail() {},
      inFlight: () => 0,
    };
  };
  dispatcher.inFlight.others.add(other('first', fail('first: end')));
  dispatcher.inFlight.others.add(other('second', () => ended.push('second')));
  const heard: number[] = [];
  scene.bus.on('*', ({ position }) => heard.push(position));
  scene.bus.on('*', fail('listener'));
  scene.bus.on('*', fail('batch listener'), { batch: true });
  dispatcher.progress.follow(fail('follower'));
  scene.control.publish('synced', 1);

  const answers = Promise.allSettled(['a', 'b', 'c'].map((id) => dispatcher.send(0, 0, id, [], undefined)));
  const [one, two, three] = scene.take();
  scene.event();
  scene.event(FrameKind.message);
  scene.event();
  scene.reply(one!, GroupFlag.messages | GroupFlag.nothing);
  scene.reply(two!, 0, 0, 'no JSON'); // an error that cannot be read
  scene.event();
  scene.reply(three!, GroupFlag.nothing);
  scene.write();
  scene.turns.turn();
  expect((await answers).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(dispatcher.inFlight.count).toBe(0);
  expect(ended).toContain('second');
  expect(heard).toEqual([1, 3, 4]); // those behind the message, and behind one whose listeners have failed, too
  const told = reported.map((error) => (error as Error).message);
  for (const what of ['first: end', 'first: group', 'second: group', 'message', 'settled', 'follower']) {
    expect(told).toContain(what);
  }
});

/** What a waiting thread's own look would find: the room that the log has. */
function waiter(control: TestControlBlock): { other: OtherRing; looks: number[]; during: () => void } {
  const groups = new RingConsumer(createRing(1 << 16));
  const looks: number[] = [];
  const seen = {
    looks,
    during: (): void => {},
    other: {
      groups,
      frame: new FrameReader(groups.bytes),
      onGroup() {},
      hasWaiting: () => looks.at(-1) !== LogRoom.plenty,
      endTurn() {
        looks.push(control.flag(Signal.full));
        seen.during();
      },
      fail() {},
      inFlight: () => 0,
    },
  };
  return seen;
}

// Wherever in a turn the log's word comes, and however often it has changed since the last one.
test.each(['before the turn', 'behind its last look', 'twice between two turns'])(
  'room in the log is heard of: %s',
  (when) => {
    const scene = new Scene();
    const { control, dispatcher, shardWords } = scene;
    const hostNotifier = control.notifier(Signal.hostNotifier);
    const say = (room: number): void => {
      const before = control.flag(Signal.full);
      control.setFlag(Signal.full, room);
      if (room < before) countOpening(control);
      hostNotifier.notify();
    };
    const waiting = waiter(control);
    dispatcher.inFlight.others.add(waiting.other);
    say(LogRoom.admitted);
    if (when !== 'twice between two turns') scene.turns.turn();
    const shard = new Parker(shardWords, 0);
    expect(shard.arm(() => false)).toBe(true); // it holds a command, and sleeps
    if (when === 'behind its last look') waiting.during = () => say(LogRoom.plenty);
    else say(LogRoom.plenty);
    if (when === 'twice between two turns') {
      say(LogRoom.reserve);
      say(LogRoom.plenty);
    }
    scene.turns.turn();
    expect(waiting.looks.at(-1)).toBe(LogRoom.plenty);
    expect(Atomics.load(shardWords, 0), 'rung').toBe(0);
    expect(control.flag(Signal.hostNotifier), 'asleep').not.toBe(0);
  },
);

test('a listener that asks for a turn gets it after this one: events are heard in log order', () => {
  const scene = new Scene();
  const heard: number[] = [];
  const add = (): void => {
    scene.event();
    scene.reply(99, GroupFlag.nothing);
    scene.write();
  };
  scene.bus.on('*', ({ position }) => {
    heard.push(position);
    if (heard.length === 1) add();
    scene.turns.turn();
  });
  add();
  add();
  scene.turns.turn();
  expect(heard).toEqual([1, 2, 3]);
  expect(scene.reported).toEqual([]);
});
