// The server's disk is full: a small one of its own under its tables, with ballast on it. Needs root, to mount it.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { migrate, postgres } from '../../../src/index.ts';
import { administer } from '../../postgres.ts';
import { PostgresServer } from '../../postgres-server.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { startRuntime, until } from '../../runtime/scratch.ts';
import { temporaryFolder } from '../sample.ts';

const diskBytes = 24 << 20;
const ballastBytes = 16 << 20;
const commandsAtOnce = 20;

test('the service goes on while the disk is full, and everything arrives once there is room (needs root, to mount one)', {
  timeout: 180_000,
}, async ({ skip }) => {
  await using server = await PostgresServer.start();
  const folder = temporaryFolder(onTestFinished);
  chmodSync(folder, 0o755); // the server runs as somebody else
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes},mode=755`, 'none', disk]);
  skip(mounted.status !== 0, 'mounting a disk needs root');
  onTestFinished(() => void spawnSync('umount', ['-l', disk]));
  const [{ data_directory: own }] = await administer(server.url(), 'show data_directory');
  const space = join(disk, 'space');
  mkdirSync(space);
  chownSync(space, statSync(own).uid, statSync(own).gid);
  await administer(server.url(), `create tablespace small location '${space}'`);
  await administer(server.url(), 'alter database postgres set default_tablespace = small');
  await migrate({ connection: server.url() });
  const ballast = join(disk, 'ballast');
  writeFileSync(ballast, Buffer.alloc(ballastBytes, 1));

  const causes: string[] = [];
  const error = ({ err }: { err?: Error }): void => void (err && causes.push(err.message));
  const store = postgres({ connectionString: server.url() });
  const runtime = await startRuntime({ store, shards: 1, logger: { debug() {}, info() {}, warn() {}, error } });
  let commands = 0;
  const more = (): Promise<unknown> =>
    Promise.all(
      Array.from({ length: commandsAtOnce }, () =>
        runtime.ref(Counter, `c${commands++ % 7}`).label(randomBytes(6000).toString('base64')),
      ),
    );
  const isFull = (): boolean => causes.some((cause) => cause.includes('(53100)'));
  const isStored = (): boolean => runtime.status().stored === runtime.status().written;
  // No round before the last one has ended in the store: all of them must fit once the ballast is gone.
  while (!isFull()) {
    await more();
    await until(() => isFull() || isStored(), Boolean, 60_000);
  }
  await more(); // still admitted, and written
  const { stored, written } = runtime.status();
  expect(stored).toBeLessThan(written);
  rmSync(ballast);
  await runtime.reached('stored');
  const rows = await administer(
    server.url(),
    `select count(*)::int as events, count(distinct id)::int as ids,
         (select sum(version)::int from trunkline.aggregates) as versions from trunkline.domain_events`,
  );
  expect(rows).toEqual([{ events: commands, ids: commands, versions: commands }]);
  await runtime.close(); // before its server goes
});
