// Entry of a process that opens data files with LMDB and uses them, one after the other, and says so after each: if one of
// them ends it, the parent knows which.
import { createInterface } from 'node:readline';
import { LogWriter, openLogReader } from '../../src/log/lmdb.ts';
import { mapBytes } from './sample-log.ts';

for await (const folder of createInterface({ input: process.stdin })) {
  const writer = LogWriter.open(folder, mapBytes);
  const reader = openLogReader(folder, mapBytes);
  const found: number[] = [];
  for (let position = 1; ; ) {
    const chunk = reader.read(position);
    if (!chunk) break;
    found.push(chunk.firstPosition);
    position = chunk.firstPosition + chunk.count;
  }
  // Enough to take pages from the list of free ones, and to give some back.
  const again = Buffer.alloc(10_000, 1);
  for (let i = 0; i < 60; i++) writer.append(writer.lastPosition + 100, again);
  writer.truncateBelow(writer.lastPosition - 100, 30);
  const kept: number[] = [];
  for (const position of found) if (position >= writer.firstPosition) kept.push(reader.read(position)!.firstPosition);
  await reader.close();
  await writer.close();
  process.stdout.write(`${JSON.stringify({ folder, found, kept })}\n`);
}
