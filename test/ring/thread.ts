// What the threads of threads.test.ts do: one role each, told by workerData.
import { type MessagePort, workerData } from 'node:worker_threads';
import { Notifier, Parker } from '../../src/shared/notifier.ts';
import { RingConsumer } from '../../src/shared/ring/consumer.ts';
import { RingProducer } from '../../src/shared/ring/producer.ts';
import { GroupKind, RingSealed } from '../../src/shared/ring/ring.ts';
import { FrameKind, FrameReader } from '../../src/wire/frame.ts';

export interface RingRole {
  /** `claimer`: a producer that writes part of a group, rings the last reader's bell, and never gets to publish it. */
  role: 'producer' | 'log' | 'last' | 'claimer' | 'zombie producer' | 'zombie reader';
  ring: SharedArrayBuffer;
  /** Word 0: the log's bell, word 1: the last reader's bell. */
  bells: SharedArrayBuffer;
  groups: number;
  result: MessagePort;
}

export interface BellRole {
  role: 'ringer' | 'sleeper';
  /** Word 0: the bell; word 1 + i: what ringer i has published; word 8 + i: what the sleeper has taken of it. */
  words: SharedArrayBuffer;
  index: number;
  ringers: number;
  count: number;
  /** A ringer's: leads to the sleeper. The sleeper's: all of them. */
  ports: MessagePort[];
  seed: number;
  result: MessagePort;
}

const forEver = Number.POSITIVE_INFINITY; // nothing but a bell ends a sleep here: a lost one hangs the test

/** A small generator of its own, so that both ends know what must come. */
function randomFrom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const checksum = (sequence: number, length: number): number => (Math.imul(sequence, 0x9e3779b1) ^ length) >>> 0;
const fillers = Array.from({ length: 64 }, (_, length) => 'é'.repeat(length >> 1));

function produce({ ring, bells, groups }: RingRole): number {
  const words = new Int32Array(bells);
  const notifier = new Notifier(words, 0);
  const producer = new RingProducer(ring, () => {
    notifier.notify();
    producer.blockForRoom(forEver);
    return true;
  });
  const random = randomFrom(7);
  for (let sequence = 0; sequence < groups; sequence++) {
    const length = random() & 63;
    const sum = checksum(sequence, length);
    const frames = sequence % 3;
    for (let i = 0; i < frames; i++) {
      producer.frame(FrameKind.event, length, sum, sequence, 't', `${i}`, 'n', '', fillers[length]!);
    }
    if (sequence % 101 === 0) {
      // Another try, with other frames: nothing of the first may be seen.
      producer.abandon();
      producer.frame(FrameKind.event, 0, checksum(sequence, 0), sequence, 't', '0', 'n', '', '');
    }
    producer.publish(GroupKind.reply, 0, sequence, sum, `${sequence}`);
    notifier.notify();
  }
  return producer.published;
}

function claim({ ring, bells }: RingRole): never {
  const producer = new RingProducer(ring, () => false);
  for (let i = 0; i < 5; i++) producer.frame(FrameKind.event, 1, 0.5, 0xdead, 't', 'dead', 'n', '', fillers[63]!);
  const words = new Int32Array(bells);
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  for (;;) Atomics.wait(words, 1, 1, forEver);
}

/** Publishes until its end of the ring is sealed, which it learns from nothing else; returns how many groups it has published. */
function publishUntilSealed({ ring, bells }: RingRole): number {
  const words = new Int32Array(bells);
  const producer = new RingProducer(ring, () => true);
  for (let sequence = 0; ; sequence++) {
    try {
      producer.publish(GroupKind.reply, 0, sequence, 0, '');
    } catch (error) {
      if (error instanceof RingSealed) return sequence;
      throw error;
    }
    if (sequence === 1000) beginFight(words);
  }
}

/** Takes until its end of the ring is sealed; returns how many groups it would have acted upon. */
function takeUntilSealed({ ring, bells }: RingRole): number {
  const words = new Int32Array(bells);
  const consumer = new RingConsumer(ring);
  for (let taken = 0; ; ) {
    if (!consumer.take(consumer.published())) continue;
    try {
      consumer.release();
    } catch (error) {
      if (error instanceof RingSealed) return taken;
      throw error;
    }
    if (++taken === 1000) beginFight(words);
  }
}

function beginFight(words: Int32Array): void {
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
}

/** Throws at the first group that is not the one that must come. */
function check(ring: RingConsumer, frame: FrameReader, sequence: number): void {
  if (ring.slot !== sequence) throw new Error(`group ${ring.slot} came where ${sequence} was due`);
  const text = ring.bytes.toString('utf8', ring.replyStart, ring.replyStart + ring.replyBytes);
  if (text !== `${sequence}`) throw new Error(`group ${sequence} has the reply ${text}`);
  frame.at(ring.framesStart);
  for (let i = 0; i < ring.frameCount; i++) {
    const length = frame.schemaVersion;
    if (!frame.isSound(ring.replyStart)) throw new Error(`a frame of group ${sequence} is not sound`);
    if (frame.version !== sequence) throw new Error(`a frame of ${frame.version} stands in group ${sequence}`);
    if (frame.occurredAt !== checksum(sequence, length))
      throw new Error(`a frame of group ${sequence} has a wrong sum`);
    if (frame.dataLength !== (length >> 1) * 2) throw new Error(`a frame of group ${sequence} has a wrong length`);
    if (frame.isLast !== (i === ring.frameCount - 1)) throw new Error(`group ${sequence} ends in a wrong place`);
    frame.at(frame.next);
  }
}

function readAsLog({ ring, bells, groups }: RingRole): number {
  const words = new Int32Array(bells);
  const parker = new Parker(words, 0);
  const last = new Notifier(words, 1);
  const consumer = new RingConsumer(ring);
  const frame = new FrameReader(consumer.bytes);
  let position = 1;
  for (let sequence = 0; sequence < groups; ) {
    const limit = consumer.published();
    while (consumer.take(limit)) {
      check(consumer, frame, sequence++);
      consumer.firstPosition = position;
      position += consumer.frameCount;
    }
    consumer.publishWritten();
    last.notify();
    if (sequence < groups) parker.block(() => consumer.published() !== consumer.cursor, forEver);
  }
  return position - 1;
}

function readLast({ ring, bells, groups }: RingRole): number {
  const parker = new Parker(new Int32Array(bells), 1);
  const consumer = new RingConsumer(ring);
  const frame = new FrameReader(consumer.bytes);
  let position = 1;
  for (let sequence = 0; sequence < groups; ) {
    const limit = consumer.written();
    while (consumer.take(limit)) {
      check(consumer, frame, sequence++);
      if (consumer.firstPosition !== position) {
        throw new Error(`group ${sequence - 1} is at ${consumer.firstPosition}, not at ${position}`);
      }
      position += consumer.frameCount;
    }
    consumer.release();
    consumer.ringRoom();
    if (sequence < groups) parker.block(() => consumer.written() !== consumer.cursor, forEver);
  }
  return position - 1;
}

function pause(random: () => number): void {
  const kind = random() % 8;
  if (kind < 5) for (let i = random() % 400; i > 0; i--) Math.sqrt(i);
  else if (kind === 5) Atomics.wait(idle, 0, 0, (random() % 40) / 1000);
}
const idle = new Int32Array(new SharedArrayBuffer(4));

function ringOften({ words: memory, index, count, ports, seed }: BellRole): number {
  const words = new Int32Array(memory);
  const notifier = new Notifier(words, 0, ports[0]);
  const random = randomFrom(seed);
  for (let i = 1; i <= count; i++) {
    Atomics.store(words, 1 + index, i);
    notifier.notify();
    pause(random);
    // Now and then wait until it has been taken: then the sleeper is about to sleep, or does.
    if (random() % 4 !== 0) continue;
    for (let taken = Atomics.load(words, 8 + index); taken < i; taken = Atomics.load(words, 8 + index)) {
      Atomics.wait(words, 8 + index, taken, forEver);
    }
  }
  return count;
}

async function sleepOften({ words: memory, ringers, count, ports, seed }: BellRole): Promise<number> {
  const words = new Int32Array(memory);
  const parker = new Parker(words, 0);
  const random = randomFrom(seed);
  let wake = (): void => {};
  for (const port of ports) port.on('message', () => wake());
  const taken = new Array<number>(ringers).fill(0);
  const hasWork = (): boolean => taken.some((seen, i) => Atomics.load(words, 1 + i) !== seen);
  let sleeps = 0;
  while (taken.some((seen) => seen < count)) {
    for (let i = 0; i < ringers; i++) {
      taken[i] = Atomics.load(words, 1 + i);
      Atomics.store(words, 8 + i, taken[i]!);
      Atomics.notify(words, 8 + i);
    }
    if (taken.every((seen) => seen === count)) break;
    pause(random);
    sleeps++;
    if (random() % 2 === 0) parker.block(hasWork, forEver);
    else {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (parker.arm(hasWork)) await woken;
      parker.rise();
    }
  }
  for (const port of ports) port.close();
  return sleeps;
}

const job = workerData as RingRole | BellRole;
const roles = {
  producer: produce,
  log: readAsLog,
  last: readLast,
  claimer: claim,
  'zombie producer': publishUntilSealed,
  'zombie reader': takeUntilSealed,
  ringer: ringOften,
  sleeper: sleepOften,
};
const run = roles[job.role] as (job: RingRole | BellRole) => number | Promise<number>;
const value = await run(job);
job.result.postMessage(value);
job.result.close();
