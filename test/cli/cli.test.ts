// The command line as a user runs it: a process of its own, against a real server and real folders.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { administer, freshDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime } from '../runtime/scratch.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
let url: string;

interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

function trunkline(words: string[], environment: Record<string, string> = { TRUNKLINE_POSTGRES: url }): Outcome {
  const { TRUNKLINE_POSTGRES: _, ...rest } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=trunkline-source', main, ...words], {
    env: { ...rest, ...environment },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

const raise = (month: string, n: number): Promise<any[]> =>
  administer(
    url,
    `with v as (select trunkline.raise_event('stock', 's-' || i, 'Priced', json_build_object('text', E'a\\tb\\\\c\\n"ü"', 'n', i)::jsonb) from generate_series(1, $1::int) i)
     select count(*) from v`,
    [n],
  ).then(() =>
    administer(
      url,
      `with moved as (update trunkline.domain_events set occurred_at = $1::timestamptz where occurred_at > now() - interval '1 minute' returning id)
       update trunkline.outbox o set occurred_at = $1::timestamptz from moved where moved.id = o.id`,
      [`${month}-15T12:00:00Z`],
    ),
  );

beforeAll(async () => {
  url = await freshDatabase();
});

describe('words and errors', () => {
  test.each<[string, string[], Record<string, string>, number, RegExp]>([
    ['no command', [], {}, 2, /Usage: trunkline/],
    ['an unknown command', ['migrat'], {}, 2, /unknown command\n\(Did you mean migrate\?\)/],
    ['no database', ['migrate'], {}, 2, /^trunkline: option --postgres: is missing, and so is TRUNKLINE_POSTGRES\n$/],
    [
      'no URL',
      ['migrate', '--postgres', 'secret'],
      {},
      2,
      /^trunkline: option --postgres \(text, 6 characters\): must be a URL/,
    ],
    [
      'nobody there',
      ['migrate', '--postgres', 'postgres://u:secret@127.0.0.1:1/x'],
      {},
      1,
      /^trunkline: .*does not answer/,
    ],
    ['no folder', ['status', '--data-dir', '/nowhere'], {}, 1, /^trunkline: \/nowhere is not a data directory/],
    ['neither', ['status'], {}, 2, /^error: give --data-dir, --postgres, or both/],
  ])('%s', (_, words, environment, status, stderr) => {
    const outcome = trunkline(words, environment);
    expect(outcome).toMatchObject({ status, stderr: expect.stringMatching(stderr) });
    expect(outcome.stderr).not.toMatch(/secret|\n {4}at /);
  });

  test('a wrong password is said without it', () => {
    const wrong = new URL(url);
    wrong.password = 'hidden';
    const { status, stderr } = trunkline(['migrate', '--postgres', wrong.href]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^trunkline: .*refuses us/);
    expect(stderr).not.toContain('hidden');
  });
});

describe('migrate and status', () => {
  test('dry run, then in earnest, then nothing to do', () => {
    expect(trunkline(['status'])).toMatchObject({
      status: 1,
      stderr: "trunkline: schema 'trunkline' is not there: it has no tables of ours; run migrate()\n",
    });
    const dry = trunkline(['migrate', '--dry-run']);
    expect(dry).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/create table domain_events [\s\S]*nothing applied\n$/),
    });
    expect(trunkline(['migrate'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^applied 000001-[\s\S]* done\n$/),
    });
    expect(trunkline(['migrate']).stdout).toMatch(/nothing to do\n$/);
    expect(trunkline(['status']).stdout).toMatch(
      /^schema trunkline: version (\d+) of \1\nquarantined events: 0\noutbox: 0 events wait\n$/,
    );
  });

  test('a log is read while it is in use, and afterwards', async () => {
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir });
    for (let i = 0; i < 10; i++) await runtime.ref(Counter, 'a').add(1);
    await runtime.reached('stored');
    expect(trunkline(['status', '--data-dir', dataDir]).stdout).toMatch(/in use, .*\n {2}positions 1 to 1\d\n/);
    await runtime.close();
    expect(trunkline(['status', '--data-dir', dataDir]).stdout).toMatch(
      /closed in order, .*\n {2}positions 1 to 1\d\n/,
    );
    const file = join(dataDir, 'log', 'log.mdb');
    writeFileSync(file, readFileSync(file).fill(7, 0, 8192));
    expect(trunkline(['status', '--data-dir', dataDir])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('cannot be read'),
    });
  });
});

describe('partitions', () => {
  test('made for what the default partition holds, archived, verified, dropped', async () => {
    trunkline(['migrate']);
    await raise('2024-02', 30);
    await raise('2024-03', 20);
    const folder = join(scratchFolder(), 'archives');
    const list = (): string => trunkline(['partitions', 'list']).stdout;
    expect(list()).toMatch(/domain_events_default +any +50/);
    expect(trunkline(['partitions', 'make']).stdout).toMatch(
      /made domain_events_2024_02\nmade domain_events_2024_03\n/,
    );
    expect(list()).toMatch(/domain_events_2024_02 +2024-02 +30 .* 30\n(.*\n)*domain_events_default +any +0 /);

    const drop = (...more: string[]): Outcome => trunkline(['partitions', 'drop', '--before', '2024-03', ...more]);
    expect(drop('--archive', folder)).toMatchObject({ status: 1, stderr: expect.stringMatching(/is not there/) });
    const archive = trunkline(['partitions', 'archive', '--before', '2024-03', '--to', folder]);
    expect(archive).toMatchObject({ status: 0, stdout: expect.stringMatching(/^2024-02: 30 events in .*\n$/) });
    expect(readdirSync(folder)).toEqual(['domain_events_2024_02.jsonl.zst']);
    expect(drop('--archive', folder).stderr).toMatch(/30 of its events have not come into a log yet/);
    await administer(url, 'delete from trunkline.outbox');

    const file = join(folder, 'domain_events_2024_02.jsonl.zst');
    const whole = readFileSync(file);
    truncateSync(file, whole.length - 20);
    expect(drop('--archive', folder).stderr).toMatch(/not a whole archive/);
    writeFileSync(file, whole);
    await raise('2024-02', 1);
    await administer(url, 'delete from trunkline.outbox');
    expect(drop('--archive', folder).stderr).toMatch(/it has 31 events, and its archive 30/);
    trunkline(['partitions', 'archive', '--before', '2024-03', '--to', folder]);
    expect(drop('--archive', folder)).toMatchObject({ status: 0, stdout: '2024-02: dropped\n' });
    expect(list()).not.toContain('2024_02');
    expect(existsSync(file)).toBe(true);
    expect(trunkline(['partitions', 'drop', '--before', '2024-04', '--force']).stdout).toBe('2024-03: dropped\n');
  });

  test.each(['2024', '2024-13', '../../etc', "2024-01'; drop table x"])('--before %j is refused', (before) => {
    const outcome = trunkline(['partitions', 'archive', '--before', before, '--to', '/tmp']);
    expect(outcome).toMatchObject({ status: 2, stderr: expect.stringMatching(/must be a month like 2026-01\.\n/) });
  });

  test('a folder that cannot be made is named', () => {
    trunkline(['migrate']);
    trunkline(['partitions', 'make']);
    const outcome = trunkline(['partitions', 'archive', '--before', '9999-01', '--to', '/dev/null/nowhere']);
    expect(outcome).toMatchObject({ status: 1, stderr: expect.stringMatching(/^trunkline: .*\/dev\/null\/nowhere/) });
    expect(outcome.stderr).not.toContain('    at ');
  });
});
