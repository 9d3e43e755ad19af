// Model: a runtime and a plain model in memory are given the same commands, restarts, shard crashes and kills, by fast-check;
// every answer is the same, and so is, after every fault and at the end, all that either holds. A command that a kill has
// met is sent again under its idempotency key: the model executes it once.
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';
import type { ModelLine, ModelSettings } from './model-child.ts';
import { type Answer, type Operation, PlainModel } from './model-plain.ts';

/** What fast-check makes: operations, kills, and commands that a kill meets under way. */
type Step = Operation | { do: 'kill' } | { do: 'kill meanwhile'; operation: Operation & { do: 'command' } };

const counters = ['a', 'b', 'c', 'd', 'e'];
const stocks = ['s', 't'];
const ids = [...counters.map((id) => `counter/${id}`), ...stocks.map((id) => `stock/${id}`)];
const lifeBoundMs = 600_000;

const id = fc.constantFrom(...counters);
const amount = fc.integer({ min: -1000, max: 1000 });
const simple = fc.oneof(
  fc.record({ command: fc.constant('add'), input: fc.tuple(amount) }),
  fc.record({ command: fc.constant('addMany'), input: fc.tuple(fc.integer({ min: 1, max: 12 })) }),
  fc.record({
    command: fc.constant('label'),
    input: fc.tuple(fc.constantFrom('', 'x', 'ü\t"', 'long '.repeat(300))),
  }),
  fc.record({ command: fc.constant('addThenReject'), input: fc.tuple(amount) }),
  fc.record({ command: fc.constant('addSlowly'), input: fc.tuple(amount, fc.constant(0)) }),
);
const command = fc.constant('command' as const);
const key = fc.constantFrom('k1', 'k2', 'k3', 'k4', 'k5', 'k6');
const keyed = fc
  .tuple(id, simple, key)
  .map(([at, what, under]) => ({ do: 'command' as const, id: at, ...what, key: under }));
const plain = fc.tuple(id, simple).map(([at, what]) => ({ do: 'command' as const, id: at, ...what }));
const other = fc.oneof(
  fc.record({ do: command, id, command: fc.constantFrom('total', 'addThenThrow'), input: fc.constant([]) }),
  fc
    .tuple(id, id, fc.constantFrom('askOther', 'sendOther'), amount)
    .filter(([from, to]) => from !== to)
    .map(([from, to, what, by]) => ({ do: 'command' as const, id: from, command: what, input: [to, by] })),
);
const save = fc.record({
  do: fc.constant('save' as const),
  id: fc.constantFrom(...stocks),
  prices: fc.array(fc.constantFrom('1.50', '2', '-0'), { minLength: 1, maxLength: 4 }),
  expectedVersion: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined, freq: 2 }),
});
const together = fc.record({
  do: fc.constant('together' as const),
  operations: fc.array(fc.oneof(plain, keyed), { minLength: 2, maxLength: 30 }),
});
const step = fc.oneof(
  { weight: 300, arbitrary: plain },
  { weight: 150, arbitrary: keyed },
  { weight: 100, arbitrary: other },
  { weight: 50, arbitrary: save },
  { weight: 60, arbitrary: together },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill meanwhile' as const), operation: keyed }) },
) as fc.Arbitrary<Step>;

export const model: Family = {
  about: 'the same commands, restarts, crashes and kills to a runtime and to a plain model in memory: the same answers',
  sizes: { commands: 2_000, length: 400 },
  async run(run) {
    const { length, seed } = { length: run.size('length'), seed: run.seed };
    const steps = fc.array(step, { minLength: length, maxLength: length, size: 'max' });
    let commands = 0;
    for (let number = 0; commands < run.size('commands'); number++) {
      const actorLimit = 1 + (number % 4);
      const property = fc.asyncProperty(steps, async (all) => {
        commands += await compare(run, all, actorLimit);
      });
      const found = await fc.check(property, { seed: seed * 100_003 + number, numRuns: 1, endOnFailure: true });
      if (!found.failed) continue;
      run.fail(`series ${number}: ${(found.errorInstance as Error)?.message}`);
      break;
    }
    run.notes.push(`${commands} commands compared`);
  },
};

/** One data directory from its beginning. Returns how many commands were compared; throws at the first difference. */
async function compare(run: FaultRun, steps: readonly Step[], actorLimit: number): Promise<number> {
  const folder = run.folder();
  const expected = new PlainModel();
  let life = new Life({ dataDir: join(folder, 'data'), actorLimit });
  let [commands, at] = [0, 0];
  const check = async (operation: Operation): Promise<void> => {
    const [wanted, found] = [expected.apply(operation), await life.ask(operation)];
    if (!isDeepStrictEqual(plainOf(found), plainOf(wanted))) {
      throw new Error(`step ${at}: ${show(operation)}: ${show(found)}, and should be ${show(wanted)}`);
    }
    const count = operation.do === 'together' ? operation.operations.length : 1;
    commands += count;
    if (operation.do !== 'look') run.findings.acknowledged += count;
  };
  const killAndStart = async (): Promise<void> => {
    await life.kill();
    run.faults++;
    life = new Life(life.settings);
  };
  try {
    for (const one of steps) {
      at++;
      if (one.do === 'kill') await killAndStart();
      else if (one.do === 'kill meanwhile') {
        const first = life.ask(one.operation).catch(() => {});
        await life.begun();
        await killAndStart();
        await first;
        await check(one.operation);
      } else await check(one);
      if (one.do === 'restart' || one.do === 'crash') run.faults++;
      if (one.do.startsWith('kill') || one.do === 'restart') await check({ do: 'look', ids });
    }
    await check({ do: 'look', ids });
  } finally {
    await life.kill();
    run.drop(folder);
  }
  return commands;
}

const plainOf = (answer: unknown): unknown => JSON.parse(JSON.stringify(answer));
const show = (what: unknown): string => JSON.stringify(what).slice(0, 600);

/** A child from its start to its end. */
class Life {
  readonly settings: ModelSettings;
  private readonly waiting = new Map<number, { resolve(answer: Answer): void; reject(error: unknown): void }>();
  private readonly ended: Promise<void>;
  private readonly child: Promise<{ say(word: string): void; kill(): void }>;
  private readonly ready: Promise<void>;
  private number = 0;

  constructor(settings: ModelSettings) {
    this.settings = settings;
    let onChild: (child: { say(word: string): void; kill(): void }) => void;
    let onReady: () => void;
    this.child = new Promise((resolve) => (onChild = resolve));
    this.ready = new Promise((resolve) => (onReady = resolve));
    const running = runChild<ModelLine>({
      ...{ program: './model-child.ts', argument: settings, boundMs: lifeBoundMs },
      meanwhile: async (child) => onChild(child),
      onLine: (line) => {
        if (line.kind === 'ready') onReady();
        else this.take(line.number).resolve(line.answer);
        return false;
      },
    });
    this.ended = running.then(({ trouble }) => {
      onReady();
      for (const number of this.waiting.keys())
        this.take(number).reject(new Error(`the runtime has ended: ${trouble}`));
    });
  }

  async ask(operation: Operation): Promise<Answer> {
    const number = ++this.number;
    const answer = new Promise<Answer>((resolve, reject) => this.waiting.set(number, { resolve, reject }));
    (await this.child).say(JSON.stringify({ number, operation }));
    return answer;
  }

  /** What was asked is under way; or, now and then, not yet, or done. */
  async begun(): Promise<void> {
    await this.ready;
    await new Promise((resolve) => setTimeout(resolve, this.number % 3));
  }

  async kill(): Promise<void> {
    (await this.child).kill();
    await this.ended;
  }

  private take(number: number): { resolve(answer: Answer): void; reject(error: unknown): void } {
    const waiting = this.waiting.get(number)!;
    this.waiting.delete(number);
    return waiting;
  }
}
