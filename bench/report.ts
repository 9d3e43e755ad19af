// How figures are shown: the machine first, then the table.
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { micros, percentiles, type Row } from './measure.ts';
import { payloadBytes } from './payload.ts';

/** CPU, cores, Node, payload, and how long the device itself takes for an fdatasync. */
export function printMachine(): void {
  const file = join(process.env.TRUNKLINE_BENCH_DIR ?? tmpdir(), `trunkline-bench-${process.pid}`);
  const descriptor = openSync(file, 'w');
  const block = Buffer.alloc(400, 1);
  const samples: number[] = [];
  for (let i = 0; i < 200; i++) {
    writeSync(descriptor, block);
    const start = performance.now();
    fdatasyncSync(descriptor);
    samples.push((performance.now() - start) * 1000);
  }
  closeSync(descriptor);
  rmSync(file);
  const { p50, p99 } = percentiles(samples);
  console.log(`${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.version}`);
  console.log(
    `payload ${payloadBytes} bytes; the device's own append + fdatasync: p50 ${micros(p50)}, p99 ${micros(p99)}\n`,
  );
}

export function printRows(rows: Row[]): void {
  const widths = (['measure', 'asked', 'measured'] as const).map((key) =>
    Math.max(key.length, ...rows.map((row) => row[key].length)),
  );
  const line = (cells: string[]): string => cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ');
  console.log(line(['measure', 'asked', 'measured', 'holds']));
  for (const row of rows)
    console.log(`${line([row.measure, row.asked, row.measured, row.holds ? 'yes' : 'NO'])}\n    ${row.detail}`);
}
