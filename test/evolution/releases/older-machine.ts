// A release on another machine: it does what it is told, line by line, and says how that ended; to be killed at any time.
import { createInterface } from 'node:readline';
import type { TrunklineError } from '../../../src/index.ts';
import type { Action } from './model.ts';
import { loadRelease, type Place, startRelease } from './service.ts';

const [number, place] = JSON.parse(process.argv.at(-1)!) as [number, Place];
const release = await loadRelease(number);
const runtime = await startRelease(release, place);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ started: number });
for await (const line of createInterface({ input: process.stdin })) {
  const [order, [command, ...input]] = JSON.parse(line) as [string, Action];
  await runtime.command(release.Order.name, order, command, input).then(
    () => say({ done: order }),
    ({ code }: TrunklineError) => say({ refused: code }),
  );
}
process.kill(process.pid, 'SIGKILL'); // whoever listened has ended
