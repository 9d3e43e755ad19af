// SIP: strangers on a router with live calls. One that sees nothing and one that reads along send what RFC 4475 has, what a grammar
// makes of what was read, copies, and floods; a caller with an account of its own misbehaves beside them. Meanwhile the calls that
// were live stay so, others are placed and ended, no money moves but theirs, and the router's tables and memory keep their bounds.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { toMicros } from '../../examples/call-routing/domain/money.ts';
import { inviteText } from '../examples/phone.ts';
import { randomFrom } from '../random.ts';
import type { Family, FaultRun } from './family.ts';
import { Grammar } from './sip-grammar.ts';
import { tortureMessages } from './sip-torture.ts';
import { deposits, type LiveTalk, SipWorld } from './sip-world.ts';

const nothing = { callIds: [], tags: [], branches: [], uris: [], credentials: [], texts: [] };
const batchLength = 64;
const looksEvery = 16;
const drainTurns = 2_000;
const heapGrowthLimitBytes = 96 * 1024 * 1024;

export const sip: Family = {
  about: 'a SIP router among strangers: torture, grammar, replays and floods',
  sizes: { messages: 3_000, live: 3 },
  async run(run) {
    await using world = await SipWorld.start(run.folder());
    await using strangers = await Strangers.open(run, world);
    const talks: LiveTalk[] = [];
    for (let call = 0; call < run.size('live'); call++) talks.push(await world.establish(world.ann));
    const first = await world.establish(world.dora, 'dora');
    if ((await world.ask(world.dora, first, 'BYE')) !== 200) run.fail('a call with a password failed');
    let bobs = 1;
    let heapBefore = 0;
    const batches = Math.ceil(run.size('messages') / batchLength);
    for (let batch = 0; batch < batches; batch++) {
      await strangers.send(batch);
      if (batch % looksEvery === 0) {
        bobs++;
        await look(run, world, talks);
      }
      if (batch === batches >> 2) heapBefore = heapBytes();
    }
    run.faults = strangers.sent;
    const grown = heapBytes() - heapBefore;
    if (grown > heapGrowthLimitBytes) run.fail(`the heap grew by ${grown} bytes`);
    for (const talk of talks) {
      const status = await world.ask(world.ann, talk, 'BYE');
      if (status !== 200) run.fail(`a live call's BYE was answered ${status}`);
    }
    await audit(run, world, { ann: talks.length, bob: bobs });
  },
};

/** Live calls carry a request both ways; and a call can be placed and ended. */
async function look(run: FaultRun, world: SipWorld, talks: readonly LiveTalk[]): Promise<void> {
  for (const talk of talks) {
    const status = await world.ask(world.ann, talk, 'INFO');
    if (status !== 200) run.fail(`a request in a live call was answered ${status}`);
  }
  const talk = await world.establish(world.bob);
  const status = await world.ask(world.bob, talk, 'BYE');
  if (status !== 200) run.fail(`the BYE of a call that was placed meanwhile was answered ${status}`);
  run.findings.acknowledged++;
}

class Strangers implements AsyncDisposable {
  sent = 0;
  readonly #world: SipWorld;
  readonly #grammar: Grammar;
  /** Off and on the path, and the caller with an account. */
  readonly #sockets: Socket[];

  private constructor(run: FaultRun, world: SipWorld, sockets: Socket[]) {
    this.#world = world;
    this.#sockets = sockets;
    this.#grammar = new Grammar(randomFrom(run.seed));
  }

  static async open(run: FaultRun, world: SipWorld): Promise<Strangers> {
    const hosts = ['127.0.0.66', '127.0.0.66', '127.0.0.66', '127.0.0.67'];
    const sockets = await Promise.all(
      hosts.map(async (host) => {
        const socket = createSocket('udp4');
        const listening = once(socket, 'listening');
        socket.bind(0, host);
        await listening;
        return socket.on('message', () => {});
      }),
    );
    return new Strangers(run, world, sockets);
  }

  async send(batch: number): Promise<void> {
    const { router, port } = this.#world;
    const before = router.report().counters.received!;
    const socket = this.#sockets[(batch + (batch >> 3)) % this.#sockets.length]!;
    const ownPort = socket.address().port;
    const texts = this.#texts(batch, ownPort);
    if (batch % 16 === 3) texts.push(...this.#misbehave(ownPort));
    for (const text of texts) socket.send(Buffer.from(text, 'latin1'), port, '127.0.0.1');
    this.sent += texts.length;
    // Paced by what the router has taken in; what the kernel has dropped is not waited for.
    for (let turn = 0; turn < drainTurns; turn++) {
      if (router.report().counters.received! - before >= texts.length) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Torture, a flood of INVITEs, what was read as it was, and what a grammar makes, with and without what was read. */
  #texts(batch: number, ownPort: number): string[] {
    const { port, seen } = this.#world;
    const name = (prefix: string): string => this.#grammar.name(prefix);
    const fill = (make: (index: number) => string): string[] => Array.from({ length: batchLength }, (_, i) => make(i));
    const kind = batch % 8;
    if (kind === 0) return tortureMessages(`127.0.0.1:${port}`, name).map(({ text }) => text);
    if (kind === 4) return fill(() => inviteText({ from: name('n'), to: '44121', port: ownPort, callId: name('f') }));
    if (kind === 6) return fill((index) => seen.texts.at(-1 - (index % seen.texts.length))!);
    return fill(() => this.#grammar.message(kind === 1 ? nothing : seen, ownPort));
  }

  /** Calls that are busy, of an account that has little; from there, an address that may call. */
  #misbehave(ownPort: number): string[] {
    return Array.from({ length: 4 }, () => {
      return inviteText({ from: 'ann', to: '44123', port: ownPort, callId: this.#grammar.name('m') });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => once(socket.close(), 'close')));
  }
}

/** The books: each completed call charged once, its own account, and nothing else moved. */
async function audit(
  run: FaultRun,
  world: SipWorld,
  completed: Readonly<Record<'ann' | 'bob', number>>,
): Promise<void> {
  const owners = new Map<string, string>();
  const costs = new Map<string, number>();
  const charged = new Map<string, number>();
  const balances = new Map<string, number>();
  let created = 0;
  const read = async (): Promise<void> => {
    for (const map of [owners, costs, charged, balances]) map.clear();
    created = 0;
    for await (const { type, aggregateId, data } of world.router.events()) {
      const event = data as { accountId: string; cost: string; callId?: string; amount: string; balance: string };
      if (type === 'CallCreated') {
        created++;
        owners.set(aggregateId, event.accountId);
      } else if (type === 'CallCompleted') costs.set(aggregateId, toMicros(event.cost));
      else if (type === 'BalanceUpdated') {
        balances.set(aggregateId, toMicros(event.balance));
        if (event.callId !== undefined) {
          if (charged.has(event.callId)) run.findings.duplicated.push(`call ${event.callId} was charged twice`);
          if (owners.get(event.callId) !== aggregateId) run.fail(`${aggregateId} paid for another's call`);
          charged.set(event.callId, -toMicros(event.amount));
        }
      }
    }
  };
  await read();
  for (let turn = 0; turn < 400 && charged.size < costs.size; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    await read();
  }
  for (const [callId, cost] of costs)
    if (charged.get(callId) !== cost) run.findings.lost.push(`charge of call ${callId}`);
  for (const [account, deposit] of Object.entries(deposits)) {
    let spent = 0;
    for (const [callId, cost] of charged) if (owners.get(callId) === account) spent += cost;
    const left = balances.get(account);
    if (left !== toMicros(deposit) - spent || left < 0)
      run.fail(`${account} has ${left}, spent ${spent} of ${deposit}`);
  }
  for (const [account, expected] of Object.entries(completed)) {
    const found = [...costs.keys()].filter((callId) => owners.get(callId) === account).length;
    const begun = [...owners.values()].filter((owner) => owner === account).length;
    if (found !== expected || begun !== expected)
      run.fail(`${account}: ${begun} begun, ${found} ended, of ${expected}`);
  }
  const { counters } = world.router.report();
  const { transactions = 0, calls = 0 } = counters;
  if (transactions > 2 * 131_072 || calls > 65_536) run.fail('a table is beyond its bound');
  run.notes.push(
    `${counters.received} datagrams taken in, ${created} calls in the log, ${counters.challenged} challenged, ` +
      `${counters.unknownDialogs} of no dialog, ${counters.strayResponses} stray answers, ${counters.malformedDropped} malformed`,
  );
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
