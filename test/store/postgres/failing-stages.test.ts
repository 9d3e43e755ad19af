// A start with a store in PostgreSQL that fails leaves no connection, whichever stage fails; see runtime/failing-stages.test.ts.
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createRuntime, postgres } from '../../../src/index.ts';
import { stages } from '../../../src/runtime/stages.ts';
import { migratedDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, scratchFolder, until } from '../../runtime/scratch.ts';

test('no connection is left where a stage has done its work, and fails then', async () => {
  const connectionString = await migratedDatabase();
  const client = new pg.Client({ connectionString });
  await client.connect();
  onTestFinished(() => client.end());
  const others = `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
  const connections = async (): Promise<number> => (await client.query(others)).rowCount ?? 0;
  const dataDir = scratchFolder();
  const options = {
    logger: false,
    dataDir,
    aggregates: [Counter],
    shards: 1,
    store: postgres({ connectionString }),
  } as const;
  const later = stages.stages.slice(stages.stages.findIndex(({ name }) => name === 'the flush'));
  const failed: string[] = [];
  for (const stage of later) {
    const { name, start } = stage;
    const fails = async (made: never): Promise<never> => {
      await start(made);
      throw new Error(`${name} fails`);
    };
    Object.assign(stage, { start: fails });
    try {
      failed.push((await errorOf(createRuntime(options))).message);
    } finally {
      Object.assign(stage, { start });
    }
    await until(connections, (count) => count === 0); // the server takes a moment to end a session
  }
  expect(failed).toEqual(later.map(({ name }) => `${name} fails`));
  const runtime = await createRuntime(options);
  expect(await runtime.ref(Counter, 'a').add(1)).toMatchObject({ version: 1 });
  await runtime.close();
});
