// Commands per second with payloads of 64 bytes to 64 KiB.
import { createRuntime } from '../../src/index.ts';
import { Probe } from '../aggregates.ts';
import { median, onScratchFolder, pipelined } from '../measure.ts';
import { routed } from '../payload.ts';
import { runScaleAlone, type ScaleRun, type Series } from './scale.ts';

/** A payload of so many bytes of JSON: fewer than the usual one, or that one with a longer text. */
function payloadOf(bytes: number): any {
  const base = bytes < 200 ? { callId: '' } : { ...routed(1), note: '' };
  const field = 'note' in base ? 'note' : 'callId';
  return { ...base, [field]: 'x'.repeat(bytes - JSON.stringify(base).length) };
}

export const payload: ScaleRun = (smoke) =>
  onScratchFolder(async (dataDir) => {
    const sizes = smoke ? [64, 1024] : [64, 256, 1024, 4096, 16_384, 65_536];
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const probes = Array.from({ length: 256 }, (_, i) => runtime.ref(Probe, `p${i}`));
    const series: Series = { label: 'Trunkline, written', points: [] };
    const stringify: Series = { label: 'JSON.stringify and JSON.parse', points: [] };
    for (const bytes of sizes) {
      const data = payloadOf(bytes);
      const count = smoke ? 20 : Math.max(1000, Math.min(50_000, Math.round((200 << 20) / bytes)));
      const rounds: { commands: number; bare: number }[] = [];
      for (let round = 0; round < (smoke ? 1 : 6); round++) {
        const commands = await pipelined(count, 64, (i) => probes[i & 255]!.route(data));
        const start = performance.now();
        for (let i = 0; i < count; i++) JSON.parse(JSON.stringify(data));
        const bare = count / ((performance.now() - start) / 1000);
        if (smoke || round > 0) rounds.push({ commands, bare });
      }
      await runtime.reached('stored');
      series.points.push([bytes, median(rounds.map(({ commands }) => commands))]);
      stringify.points.push([bytes, median(rounds.map(({ bare }) => bare))]);
    }
    return {
      title: 'Throughput against payload',
      grows: 'bytes of JSON',
      counts: 'commands/s',
      series: [series, stringify],
    };
  });

await runScaleAlone(import.meta.url, payload);
