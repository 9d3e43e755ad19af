import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { dataFileOf } from '../../src/log/layout.ts';
import { type Recovered, recoverLog } from '../../src/log/recovery.ts';
import { markClean, markPoisoned, readMarker } from '../../src/log/run-manifest.ts';
import { randomFrom } from '../random.ts';
import {
  boot,
  mapBytes,
  nextBoot,
  readAll,
  removeTemporaryFolders,
  SampleLog,
  temporaryFolder,
  textAt,
} from './sample-log.ts';

afterEach(removeTemporaryFolders);

const recover = (folder: string, bootId = boot): Promise<Recovered> => recoverLog({ folder, mapBytes, bootId });

/** A closed log of `chunks` chunks; the position behind it. */
async function writeLog(folder: string, chunks: number, sizes: readonly number[] = [2, 3]): Promise<number> {
  const log = await SampleLog.open(folder);
  for (let i = 0; i < chunks; i++) log.append(sizes);
  await log.close();
  return log.nextPosition;
}

describe('how the last run ended', () => {
  test('it never began', async () => {
    const { report, ...rest } = await recover(temporaryFolder());
    expect(rest).toMatchObject({ nextPosition: 1, previousCrc: 0, identity: { number: 1 } });
    expect(report).toMatchObject({ lastEnd: 'new', firstPosition: 0, lastPosition: 0, frames: 0, leftOut: [] });
  });

  test.each([
    ['clean', boot, true],
    ['clean', nextBoot, true],
    ['killed', boot, false],
    ['power loss', nextBoot, false],
  ] as const)('%s, under %s', async (lastEnd, bootId, clean) => {
    const folder = temporaryFolder();
    const next = await writeLog(folder, 40);
    if (clean) markClean(folder, next - 1);
    const log = await SampleLog.open(folder, { bootId });
    const { report, identity } = log.recovered;
    expect(report).toMatchObject({ lastEnd, firstPosition: 1, lastPosition: 200, frames: 200, leftOut: [] });
    expect(report.damagedFile).toBeUndefined();
    expect(identity.number).toBe(2);
    expect(log.nextPosition).toBe(next);
    expect(readMarker(folder)).toMatchObject({ clean: false, bootId });
    log.append([4]);
    await log.close();
    const found = await readAll(folder);
    expect(found.size).toBe(204);
    for (const [position, text] of found) expect(text).toBe(textAt(position, position < next ? 1 : 2));
  });

  test('a run that appended nothing, again and again', async () => {
    const folder = temporaryFolder();
    for (const bootId of [boot, nextBoot, boot, boot]) {
      const log = await SampleLog.open(folder, { bootId });
      expect(log.nextPosition).toBe(1);
      expect(log.recovered.report.leftOut).toEqual([]);
      await log.close();
    }
    await writeLog(folder, 2);
    for (let i = 0; i < 5; i++) await (await SampleLog.open(folder)).close();
    const { report, identity } = await recover(folder, nextBoot);
    expect(report).toMatchObject({ frames: 10, leftOut: [] });
    expect(identity.number).toBe(11);
  });

  test('a sync had failed: the page cache is not believed, the file is written anew', async () => {
    const folder = temporaryFolder();
    await writeLog(folder, 20);
    markPoisoned(folder);
    const before = statSync(dataFileOf(folder)).ino;
    const { report } = await recover(folder);
    expect(report).toMatchObject({ lastEnd: 'killed', frames: 100, leftOut: [] });
    expect(statSync(dataFileOf(folder)).ino).not.toBe(before);
  });

  test('incarnations without a chunk left are forgotten', async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 6; i++) {
      const log = await SampleLog.open(folder);
      log.append([10]);
      if (i === 4) log.writer.truncateBelow(41, 100);
      await log.close();
    }
    expect(readMarker(folder)!.incarnations.map(({ number, fromPosition }) => [number, fromPosition])).toEqual([
      [5, 41],
      [6, 51],
    ]);
    expect((await recover(folder)).report).toMatchObject({ firstPosition: 41, lastPosition: 60, leftOut: [] });
  });

  test('somebody downstream has seen more than the log holds: it goes on behind that', async () => {
    const folder = temporaryFolder();
    await writeLog(folder, 2);
    const log = await SampleLog.open(folder, { seenPosition: 5000 });
    expect(log.nextPosition).toBe(5001);
    log.append([1]);
    await log.close();
    for (const bootId of [boot, nextBoot]) {
      const { report, nextPosition } = await recover(folder, bootId);
      expect(report).toMatchObject({ firstPosition: 1, lastPosition: 5001, frames: 11, leftOut: [] });
      expect(nextPosition).toBe(5002);
    }
  });
});

test('kill -9 in the middle of appends: every acknowledged commit is there, and no part of another', async () => {
  const entry = fileURLToPath(new URL('./appending-process.ts', import.meta.url));
  const random = randomFrom(7);
  for (let round = 0; round < 6; round++) {
    const folder = temporaryFolder();
    const child = spawn(process.execPath, ['--conditions=trunkline-source', entry, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const victims = 50 + Math.floor(random() * 1500);
    let output = '';
    let lines = 0;
    child.stdout.on('data', (data: Buffer) => {
      output += data;
      lines += data.toString().split('\n').length - 1;
      if (lines >= victims) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const acknowledged = Number(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1));
    expect(acknowledged).toBeGreaterThan(0);
    const { report, nextPosition } = await recover(folder);
    expect(report).toMatchObject({ lastEnd: 'killed', leftOut: [], lastPosition: nextPosition - 1 });
    expect(report.damagedFile).toBeUndefined();
    expect(nextPosition).toBeGreaterThan(acknowledged);
    const found = await readAll(folder);
    expect([...found.keys()]).toEqual(Array.from({ length: report.frames }, (_, i) => report.firstPosition + i));
    for (const [position, text] of found) expect(text).toBe(textAt(position, 1));
  }
});

describe('damage', () => {
  test('a flipped bit or a cut: what is before it stays, the rest is reported, the damaged file is kept', async () => {
    const original = temporaryFolder();
    const chunks = 60;
    const next = await writeLog(original, chunks, [7]);
    const bytes = readFileSync(dataFileOf(original));
    const random = randomFrom(11);
    for (let round = 0; round < 60; round++) {
      const folder = temporaryFolder();
      cpSync(original, folder, { recursive: true });
      const isCut = round % 4 === 0;
      const at = Math.floor(random() * bytes.length);
      if (isCut) truncateSync(dataFileOf(folder), at);
      else {
        const flipped = Buffer.from(bytes);
        flipped[at]! ^= 1 << Math.floor(random() * 8);
        writeFileSync(dataFileOf(folder), flipped);
      }
      const where = `${isCut ? 'cut' : 'flipped'} at ${at}`;
      const bootId = round % 3 === 0 ? nextBoot : boot;
      const log = await SampleLog.open(folder, { bootId });
      const { report } = log.recovered;
      // The file that began whole ends with a prefix of it; what is missing is said.
      expect(report.lastPosition % 7, where).toBe(0);
      // After power loss a file that ends early is as good as one that was never written further.
      const mayEndEarly = isCut && bootId === nextBoot && report.leftOut.length === 0;
      if (report.lastPosition < next - 1 && !mayEndEarly) {
        expect(report.damagedFile, where).toBeDefined();
        expect(readFileSync(report.damagedFile!).length).toBe(isCut ? at : bytes.length);
        expect(report.leftOut[0]?.fromPosition, where).toBe(report.lastPosition + 1);
      } else if (!isCut) expect(report.leftOut, where).toEqual([]);
      if (bootId === boot && report.leftOut.length > 0) expect(log.nextPosition, where).toBeGreaterThan(next);
      log.append([3]);
      await log.close();
      const found = await readAll(folder);
      for (const [position, text] of found) {
        expect(text, where).toBe(textAt(position, position <= report.lastPosition ? 1 : 2));
      }
      expect(found.size, where).toBe(report.lastPosition + 3);
      expect((await recover(folder, nextBoot)).report).toMatchObject({ frames: found.size, leftOut: [] });
      rmSync(folder, { recursive: true });
      await setImmediate();
    }
  });

  test('the log behind a damaged chunk is left out, with its positions, and none of them is given out again', async () => {
    const folder = temporaryFolder();
    const next = await writeLog(folder, 30, [10]);
    const bytes = readFileSync(dataFileOf(folder));
    const at = bytes.indexOf(textAt(101, 1));
    bytes[at]! ^= 1;
    writeFileSync(dataFileOf(folder), bytes);
    const { report, nextPosition } = await recover(folder);
    expect(report).toMatchObject({ firstPosition: 1, lastPosition: 100, frames: 100 });
    expect(report.leftOut).toEqual([
      { fromPosition: 101, toPosition: 110, reason: 'torn or altered' },
      { fromPosition: 111, toPosition: next - 1, reason: 'behind a gap' },
    ]);
    expect(nextPosition).toBeGreaterThan(next);
  });

  test('damage below what anybody needs costs nothing', async () => {
    const folder = temporaryFolder();
    const log = await SampleLog.open(folder);
    for (let i = 0; i < 30; i++) log.append([10], i < 20 ? 1 : 150);
    await log.close();
    const bytes = readFileSync(dataFileOf(folder));
    const at = bytes.indexOf(textAt(101, 1));
    bytes[at]! ^= 1;
    writeFileSync(dataFileOf(folder), bytes);
    const { report } = await recover(folder);
    expect(report).toMatchObject({ firstPosition: 111, lastPosition: 300, frames: 190, leftOut: [] });
    expect(report.damagedFile).toBeDefined();
  });

  test('nothing that is needed is left: the log goes on, far enough ahead', async () => {
    const folder = temporaryFolder();
    const next = await writeLog(folder, 5, [10]);
    markClean(folder, next - 1);
    const file = dataFileOf(folder);
    writeFileSync(file, Buffer.alloc(statSync(file).size, 0xa5));
    const log = await SampleLog.open(folder);
    expect(log.recovered.report).toMatchObject({ frames: 0, lastPosition: 0 });
    expect(log.recovered.report.leftOut).toEqual([
      { fromPosition: 1, toPosition: 50, reason: 'not in the file' },
      { fromPosition: 51, toPosition: log.nextPosition - 1, reason: 'the file is cut short: at most these' },
    ]);
    expect(log.nextPosition).toBeGreaterThan(next);
    const from = log.nextPosition;
    log.append([5]);
    await log.close();
    for (const bootId of [boot, nextBoot]) {
      expect((await recover(folder, bootId)).report).toMatchObject({ firstPosition: from, frames: 5, leftOut: [] });
    }
  });

  test('a data file that has gone is said to have', async () => {
    const folder = temporaryFolder();
    const next = await writeLog(folder, 5, [10]);
    markClean(folder, next - 1);
    rmSync(dataFileOf(folder));
    const { report, nextPosition } = await recover(folder);
    expect(report.leftOut).toEqual([{ fromPosition: 1, toPosition: 50, reason: 'the data file is missing' }]);
    expect(nextPosition).toBeGreaterThan(next);
  });

  test('the marker: missing, cut short, of a newer format', async () => {
    const folder = temporaryFolder();
    await writeLog(folder, 5);
    const marker = join(folder, 'log.json');
    const text = readFileSync(marker, 'utf8');
    for (const broken of ['', text.slice(0, 40), '[]', 'null', '{"format":0}', text.replace('"number"', '"n"')]) {
      writeFileSync(marker, broken);
      await expect(recover(folder)).rejects.toMatchObject({ code: 'LogDamaged' });
    }
    rmSync(marker);
    await expect(recover(folder)).rejects.toMatchObject({ code: 'LogDamaged' });
    writeFileSync(marker, text.replace('"format": 1', '"format": 2'));
    const details = { found: 2, supported: 1 };
    await expect(recover(folder)).rejects.toMatchObject({ code: 'DataDirNewerFormat', details });
    writeFileSync(marker, text);
    expect((await recover(folder)).report.frames).toBe(25);
  });
});

describe('a recovery that is cut short', () => {
  test('leaves what the next one understands, at every step', async () => {
    const damaged = temporaryFolder();
    const next = await writeLog(damaged, 20, [10]);
    const bytes = readFileSync(dataFileOf(damaged));
    bytes[bytes.indexOf(textAt(151, 1))]! ^= 1;
    writeFileSync(dataFileOf(damaged), bytes);
    const done = temporaryFolder();
    cpSync(damaged, done, { recursive: true });
    const { nextPosition } = await recover(done);

    const before = readFileSync(join(damaged, 'log.json'));
    const begun = JSON.parse(before.toString());
    begun.incarnations.push({ number: 2, seed: 3, fromPosition: nextPosition });

    const steps: Record<string, (folder: string) => void> = {
      'half of the rebuilt file is written': (folder) => {
        mkdirSync(join(folder, 'rebuilt'));
        writeFileSync(join(folder, 'rebuilt', 'log.mdb'), readFileSync(dataFileOf(done)).subarray(0, 30_000));
      },
      'the marker knows where the next run begins': (folder) => {
        mkdirSync(join(folder, 'rebuilt'));
        copyFileSync(dataFileOf(done), join(folder, 'rebuilt', 'log.mdb'));
        writeFileSync(join(folder, 'log.json'), JSON.stringify(begun));
      },
      'the damaged file has a second name': (folder) => {
        writeFileSync(join(folder, 'log.json'), JSON.stringify(begun));
        mkdirSync(join(folder, 'damaged-then'));
        copyFileSync(dataFileOf(folder), join(folder, 'damaged-then', 'log.mdb'));
      },
      'the files are exchanged': (folder) => {
        writeFileSync(join(folder, 'log.json'), JSON.stringify(begun));
        copyFileSync(dataFileOf(done), dataFileOf(folder));
      },
    };
    for (const [step, take] of Object.entries(steps)) {
      for (const bootId of [boot, nextBoot]) {
        const folder = temporaryFolder();
        cpSync(damaged, folder, { recursive: true });
        take(folder);
        const log = await SampleLog.open(folder, { bootId });
        expect(log.recovered.report, step).toMatchObject({ firstPosition: 1, lastPosition: 150, frames: 150 });
        expect(log.nextPosition, step).toBeGreaterThan(bootId === boot ? next : 150);
        expect(existsSync(join(folder, 'rebuilt')), step).toBe(false);
        log.append([1]);
        await log.close();
        expect((await readAll(folder)).size, step).toBe(151);
      }
    }
  });

  test('nothing but the log stays behind', async () => {
    const folder = temporaryFolder();
    await writeLog(folder, 20);
    await recover(folder, nextBoot);
    await (await SampleLog.open(folder)).close();
    expect(readdirSync(folder).sort()).toEqual(['floor', 'log.json', 'log.mdb', 'log.mdb-lock']);
  });
});
