// raise() inside a command, in a real shard, against JSON.stringify of the same payload.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { median, micros, onScratchFolder, type Row, runAlone, type Suite, times } from './measure.ts';

export const raiseInCommand: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1 });
    const probe = runtime.ref(Probe, 'raise').with({ metadata: { correlationId: 'bench-1', source: 'bench' } });
    const rounds = smoke ? 2 : 400;
    for (let i = 0; i < rounds / 4; i++) await probe.timeRaise(smoke ? 2 : 200); // warm: code, ring, log
    const results = [];
    for (let i = 0; i < rounds; i++) results.push((await probe.timeRaise(smoke ? 2 : 200)).value);
    const stringify = median(results.map((result) => result.stringify.p50));
    const raise = median(results.map((result) => result.raise.p50));
    const p99 = median(results.map((result) => result.single.p99));
    return [
      {
        measure: 'raise() in a command, p50 / JSON.stringify',
        asked: '≤ 3 × (aim 2 ×)',
        measured: times(raise / stringify),
        holds: raise <= 3 * stringify,
        detail: `raise ${micros(raise)}, stringify ${micros(stringify)}: medians of ${rounds} commands, bursts of 16 in turn`,
      },
      {
        measure: 'raise() in a command, p99',
        asked: '≤ 10 µs',
        measured: micros(p99),
        holds: p99 <= 10,
        detail: 'each raise timed alone, the clock included; the seed asks for less than 100 µs',
      },
    ];
  });

await runAlone(import.meta.url, raiseInCommand);
