// npm run demo: routes real SIP calls, and shows what it cost. See arguments.ts for what it takes.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments, UsageError, usage } from './arguments.ts';
import { demonstrate } from './demonstrate.ts';
import { RouterEnded } from './router-client.ts';
import { serve } from './serve.ts';

async function main(): Promise<number> {
  const given = readArguments(process.argv.slice(2));
  if (given.mode === 'help') {
    console.log(usage);
    return 0;
  }
  const dataDir = given.data ?? (await mkdtemp(join(tmpdir(), 'call-routing-')));
  try {
    if (given.mode === 'demo') return (await demonstrate({ ...given, dataDir })) ? 0 : 1;
    await serve({ ...given, dataDir });
    return 0;
  } finally {
    if (given.data === undefined) await rm(dataDir, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError || error instanceof RouterEnded)) throw error;
  console.error(error instanceof UsageError ? `${error.message}\n\n${usage}` : `  ${error.message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
