// A runtime that does what its parent says, one word after the other, and tells what came of it. May be killed at any time.
import { createRuntime, Rejected, type Runtime, type StoredEvent, TrunklineError } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import type { Answer, Operation } from './model-plain.ts';
import { argumentFromParent, say, wordFromParent } from './parent.ts';

export interface ModelSettings {
  dataDir: string;
  /** So few that actors come and go. */
  actorLimit: number;
}

export type ModelLine = { kind: 'ready' } | { kind: 'answer'; number: number; answer: Answer };

const { dataDir, actorLimit } = await argumentFromParent<ModelSettings>();
const start = (): Promise<Runtime> =>
  createRuntime({ logger: false, dataDir, aggregates: [Counter], shards: 2, actorLimit });
const tell = (line: ModelLine): void => say(JSON.stringify(line));
let runtime = await start();
tell({ kind: 'ready' });
void obey();

async function obey(): Promise<void> {
  for (;;) {
    const { number, operation } = JSON.parse(await wordFromParent()) as { number: number; operation: Operation };
    tell({ kind: 'answer', number, answer: await carryOut(operation) });
  }
}

async function carryOut(operation: Operation): Promise<Answer> {
  try {
    return await answerTo(operation);
  } catch (error) {
    if (error instanceof Rejected) return { error: error.code, details: error.details };
    if (error instanceof TrunklineError) return { error: error.code };
    return { error: String(error) };
  }
}

async function answerTo(operation: Operation): Promise<Answer> {
  switch (operation.do) {
    case 'command': {
      const { id, key, command, input } = operation;
      const metadata = key === undefined ? {} : { idempotencyKey: key };
      const receipt = (await runtime.command('counter', id, command, input, metadata)) as Reply;
      while (command === 'sendOther' && runtime.status().messagesUnderWay > 0) await turn();
      // What raised nothing has no version of its own.
      return { value: receipt.value ?? null, ...(receipt.events.length > 0 && { version: receipt.version }) };
    }
    case 'together':
      return { all: await Promise.all(operation.operations.map(carryOut)) };
    case 'save': {
      const { id, prices, expectedVersion } = operation;
      const events = prices.map((price) => ({
        ...{ aggregateType: 'stock', aggregateId: id, type: 'Repriced', data: { price } },
      }));
      await runtime.store.save(events, { expectedVersion });
      return { value: null };
    }
    case 'restart':
      await runtime.close();
      runtime = await start();
      return { value: null };
    case 'crash':
      return await answerTo({ do: 'command', id: operation.id, command: 'crash', input: [] });
    case 'look':
      return { value: await everything(operation.ids) };
  }
}

interface Reply {
  value: unknown;
  version: number;
  events: readonly unknown[];
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** States by command, events by the store, and by the log's order: the same thrice. */
async function everything(ids: readonly string[]): Promise<unknown> {
  const inOrder = new Map<string, StoredEvent[]>();
  for await (const event of runtime.events()) {
    const at = `${event.aggregateType}/${event.aggregateId}`;
    inOrder.set(at, [...(inOrder.get(at) ?? []), event]);
  }
  const wanted: Record<string, unknown> = {};
  for (const at of ids) {
    const [type, id] = at.split('/') as [string, string];
    const events = await runtime.store.getByAggregate(type, id);
    const shown = (list: readonly StoredEvent[]) => list.map(({ version, data }) => [version, data]);
    if (JSON.stringify(shown(events)) !== JSON.stringify(shown(inOrder.get(at) ?? []))) {
      const [wanted, found] = [inOrder.get(at) ?? [], events].map(shown);
      const where = wanted!.findIndex((one, i) => JSON.stringify(one) !== JSON.stringify(found![i]));
      return `${at}: event ${where}: runtime.events() has ${wanted!.length}, the store ${found!.length}: ${JSON.stringify([wanted![where], found![where]])}`;
    }
    const state = type === 'counter' ? (await runtime.ref(Counter, id).whole()).value : null;
    wanted[at] = { state, events: shown(events) };
  }
  return wanted;
}
