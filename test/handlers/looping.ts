// A handler for threads of its own: one amount blocks the thread for ever; a module that fails to load the first time.
import { existsSync, writeFileSync } from 'node:fs';

const flag = process.env.TRUNKLINE_TEST_LOADS_ONCE_MORE;
if (flag !== undefined && !existsSync(flag)) {
  writeFileSync(flag, '');
  throw new Error('not yet');
}

export default function handle({ data }: { data: { amount: number } }): void {
  if (data.amount === 13) for (;;);
}
