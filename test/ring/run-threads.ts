// Real threads, one role each (see thread.ts), run together. Nobody sleeps with a bound here: a wake-up that gets lost hangs
// the run, and the overall bound turns that into a failure.
import { MessageChannel, Worker } from 'node:worker_threads';
import type { BellRole, RingRole } from './thread.ts';

/** Run all roles at once; what each returned, or the first error. */
export async function runAll(
  jobs: (Omit<RingRole, 'result'> | Omit<BellRole, 'result'>)[],
  overallMs: number,
): Promise<number[]> {
  const workers: Worker[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    const results = jobs.map((job) => {
      const { port1, port2 } = new MessageChannel();
      const ports = 'ports' in job ? job.ports : [];
      const worker = new Worker(new URL('./thread.ts', import.meta.url), {
        workerData: { ...job, result: port2 },
        transferList: [port2, ...ports],
        execArgv: ['--conditions=trunkline-source'],
      });
      workers.push(worker);
      return new Promise<number>((resolve, reject) => {
        port1.once('message', resolve);
        worker.once('error', reject);
      });
    });
    const hung = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('a thread sleeps for ever')), overallMs);
    });
    return await Promise.race([Promise.all(results), hung]);
  } finally {
    clearTimeout(timer);
    // Plain JavaScript runs in them, nothing native: this is safe.
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
