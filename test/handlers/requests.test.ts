// What another process asks of the owner's handlers, while the file system does to the folder what it can do.
import { execFile, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { ask } from '../../src/runtime/ask-owner.ts';
import { Requests } from '../../src/runtime/handlers-requests.ts';
import type { HandlerRequest } from '../../src/runtime/request-files.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';

const owners: Requests[] = [];
let errors: unknown[] = []; // of the test's own owner: one that is closed late must not speak for the next
const request: HandlerRequest = { kind: 'requeue', which: 'x', dryRun: false };

afterEach(async () => {
  await Promise.all(owners.splice(0).map((owner) => owner.close()));
});

function serve(carryOut: (request: HandlerRequest) => Promise<unknown>): { folder: string; requests: string } {
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  return serveIn(folder, carryOut);
}

function serveIn(
  folder: string,
  carryOut: (request: HandlerRequest) => Promise<unknown>,
): { folder: string; requests: string } {
  const mine: unknown[] = [];
  errors = mine;
  const owner = new Requests(folder, carryOut, (error) => mine.push(error), 20);
  owners.push(owner);
  owner.start();
  return { folder, requests: join(folder, 'requests') };
}

test('a folder that is removed is made again, and requests go on', async () => {
  const { folder, requests } = serve(async () => 'done');
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
  rmSync(requests, { recursive: true });
  await until(() => existsSync(requests), Boolean);
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
  rmSync(requests, { recursive: true });
  writeFileSync(requests, 'a file in its place');
  await until(
    () => errors.length,
    (count) => count > 0,
  );
  rmSync(requests);
  await until(() => existsSync(requests), Boolean);
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
  expect(errors).toHaveLength(1); // told once, and not at every look
});

test('a folder that is removed under a request gets its answer all the same', async () => {
  const { folder, requests } = serve(async () => {
    rmSync(requests, { recursive: true });
    return 'done';
  });
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
});

test('an answer that a full disk has cut short is read from the line that begins anew', async () => {
  const folder = scratchFolder();
  const answered = ask(folder, request, { timeoutMs: 20_000 });
  const [asked] = readdirSync(join(folder, 'requests'));
  serveIn(folder, async () => 'done');
  writeFileSync(join(folder, 'requests', asked!.replace('.json', '.answer')), '{"resu'); // of a try that failed
  expect(await answered).toBe('done');
});

test('a data directory that is gone is not made again', async () => {
  const { folder, requests } = serve(async () => 'done');
  await until(() => existsSync(requests), Boolean);
  rmSync(folder, { recursive: true });
  await until(
    () => errors.length,
    (count) => count > 0,
  );
  expect(existsSync(folder)).toBe(false);
});

test('many requests: each is carried out once, sixteen at a time; what is no request is answered', async () => {
  let running = 0;
  let most = 0;
  let total = 0;
  const { folder } = serve(async () => {
    most = Math.max(most, ++running);
    total++;
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    return total;
  });
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => ask(folder, request, { timeoutMs: 50_000 }) as Promise<number>),
  );
  expect(new Set(answers).size).toBeGreaterThan(1);
  expect(total).toBe(100);
  expect(most).toBeLessThanOrEqual(16);
  writeFileSync(join(folder, 'requests', 'broken.json'), '{');
  await until(() => existsSync(join(folder, 'requests', 'broken.answer')), Boolean);
});

test('what an asker that was killed has left goes away', async () => {
  const { folder, requests } = serve(async () => 'done');
  await until(() => existsSync(requests), Boolean);
  const longAgo = new Date(Date.now() - 3_600_000);
  for (let i = 0; i < 50; i++) {
    for (const end of ['answer', 'new']) {
      writeFileSync(join(requests, `left-${i}.${end}`), '{}');
      utimesSync(join(requests, `left-${i}.${end}`), longAgo, longAgo);
    }
  }
  writeFileSync(join(requests, 'fresh.answer'), '');
  await until(
    () => readdirSync(requests),
    (names) => names.length === 1,
  );
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
  expect(readdirSync(requests)).toEqual(['fresh.answer']);
});

test('while something is carried out, however long, its asker hears of it', async () => {
  const lines = (requests: string): string =>
    readdirSync(requests)
      .filter((name) => name.endsWith('.answer'))
      .map((name) => readFileSync(join(requests, name), 'utf8'))
      .join('');
  const { folder, requests } = serve(async () => {
    await until(
      () => lines(requests).split('working').length,
      (count) => count > 5,
    );
    return 'done';
  });
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
});

test('one that cannot be read keeps no other one waiting', async () => {
  const { folder, requests } = serve(async () => 'done');
  await until(() => existsSync(requests), Boolean);
  // A folder in the place of a file, before every other name: nobody can read it, and nobody can remove it as a file.
  mkdirSync(join(requests, '0.json'));
  mkdirSync(join(requests, '0.answer'));
  utimesSync(join(requests, '0.answer'), new Date(0), new Date(0));
  await until(
    () => errors.length,
    (count) => count > 0,
  );
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
  expect(errors).toHaveLength(1);
});

test('what is no request, or no file, is answered and gone; nothing that it names is carried out', async () => {
  const asked: HandlerRequest[] = [];
  const { folder, requests } = serve(async (one) => {
    asked.push(one);
    return 'done';
  });
  await until(() => existsSync(requests), Boolean);
  spawnSync('mkfifo', [join(requests, 'pipe.json')]);
  writeFileSync(join(folder, 'victim'), '{"kind":"requeue"}');
  symlinkSync(join(folder, 'victim'), join(requests, 'link.json'));
  writeFileSync(join(requests, 'deep.json'), '['.repeat(100_000));
  writeFileSync(join(requests, 'latin.json'), Buffer.from([0xe4]));
  for (const kind of ['toString', '__proto__', 'list', 7]) {
    writeFileSync(join(requests, `kind-${kind}.json`), JSON.stringify({ kind }));
    writeFileSync(join(requests, `action-${kind}.json`), JSON.stringify({ kind: 'messages', action: kind }));
  }
  const answers = await until(
    () => readdirSync(requests).filter((name) => name.endsWith('.answer')),
    (names) =>
      names.length === 12 && names.every((name) => readFileSync(join(requests, name), 'utf8').includes('error')),
  );
  for (const name of answers) {
    expect(readFileSync(join(requests, name), 'utf8'), name).toMatch(/"code":"(?:FileRefused|InvalidOptions)"/);
  }
  expect(readdirSync(requests)).toHaveLength(12);
  expect(readFileSync(join(folder, 'victim'), 'utf8')).toBe('{"kind":"requeue"}');
  expect(asked).toEqual([]);
  expect(errors).toEqual([]);
  expect(await ask(folder, request, { timeoutMs: 20_000 })).toBe('done');
});

test('no descriptor is free for a while: the service goes on, and answers afterwards', async () => {
  const folder = scratchFolder();
  const program = join(import.meta.dirname, 'no-descriptors.ts');
  const node = `${process.execPath} --no-warnings --conditions=trunkline-source ${program} ${folder}`;
  const { stdout } = await promisify(execFile)('sh', ['-c', `ulimit -n 256; exec ${node}`]);
  expect(JSON.parse(stdout)).toEqual({ usedUp: 'EMFILE', answer: 'done', value: 1 });
});

test('after close the folder is left alone, and no error is reported', async () => {
  for (const isThere of [false, true]) {
    const folder = scratchFolder();
    mkdirSync(isThere ? join(folder, 'requests') : folder, { recursive: true });
    serveIn(folder, async () => 'done');
    const mine = errors;
    await owners.pop()?.close(); // its first look has begun
    rmSync(folder, { recursive: true });
    for (let turn = 0; turn < 50; turn++) await readdir(tmpdir());
    expect([existsSync(folder), mine]).toEqual([false, []]);
  }
});
