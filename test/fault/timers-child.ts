// One life of a service whose commands set timers, replace and cancel them, until it is killed. Tells its parent what it sends and what
// is acknowledged, and when. Each aggregate has a client of its own, which sends a few commands at a time.
import { createRuntime, postgres } from '../../src/index.ts';
import { integerFrom, randomFrom } from '../random.ts';
import { Alarm } from '../runtime/alarm.ts';
import { argumentFromParent, say } from './parent.ts';

export interface TimersSettings {
  dataDir: string;
  seed: number;
  life: number;
  /** Where the store is elsewhere. */
  connectionString?: string | undefined;
}

/** `what`: the timer that it sets, which rings so; '': it cancels. `name` '': an unnamed timer. */
export interface TimerOrder {
  id: string;
  alarm: string;
  name: string;
  what: string;
  due: number;
}

export type TimersLine =
  | { kind: 'started' }
  | { kind: 'sent'; order: TimerOrder }
  | { kind: 'acknowledged'; id: string; at: number }
  | { kind: 'wrong'; what: string };

export const alarms = 8;
const names = 6;
const atOnceMost = 4;
const dueMostMs = 2_000;
const pauseMostMs = 20;

if (process.argv[1] === import.meta.filename) await live();

async function live(): Promise<void> {
  const { dataDir, seed, life, connectionString } = await argumentFromParent<TimersSettings>();
  const tell = (line: TimersLine): void => say(JSON.stringify(line));
  const runtime = await createRuntime({
    logger: false,
    dataDir,
    aggregates: [Alarm],
    shards: 2,
    log: { maxBytes: 32 << 20, retainBytes: 1 << 17 },
    ...(connectionString !== undefined && { store: postgres({ connectionString }) }),
  });
  tell({ kind: 'started' });
  let sent = 0;
  await Promise.all(Array.from({ length: alarms }, (_, number) => client(`a${number}`, randomFrom(seed + number))));

  async function client(alarm: string, random: () => number): Promise<void> {
    const ref = runtime.ref(Alarm, alarm);
    for (;;) {
      const some = Array.from({ length: integerFrom(random, 1, atOnceMost) }, async () => {
        const id = `${life}/${sent++}`;
        const name = random() < 0.3 ? '' : `n${integerFrom(random, 1, names)}`;
        const isCancel = name !== '' && random() < 0.3;
        const due = Date.now() + (random() < 0.2 ? 0 : integerFrom(random, 0, dueMostMs));
        tell({ kind: 'sent', order: { id, alarm, name, what: isCancel ? '' : id, due } });
        if (isCancel) await ref.stop(name);
        else if (name === '') await ref.setAt(due, id);
        else await ref.setAt(due, id, name);
        tell({ kind: 'acknowledged', id, at: Date.now() });
      });
      await Promise.all(some).catch((error) => tell({ kind: 'wrong', what: String(error) }));
      await new Promise((resolve) => setTimeout(resolve, integerFrom(random, 0, pauseMostMs)));
    }
  }
}
