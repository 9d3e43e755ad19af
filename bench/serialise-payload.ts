// What checking a payload adds to serialising it: one thread, no runtime. By tinybench.
import { Bench } from 'tinybench';
import { plainToJson, toPlain } from '../src/payload.ts';
import { type Row, runAlone, type Suite, times } from './measure.ts';
import { routed } from './payload.ts';

export const serialisePayload: Suite = async ({ smoke }): Promise<Row[]> => {
  const bench = new Bench({ time: smoke ? 1 : 500, warmupTime: smoke ? 1 : 200 });
  const data = routed(1);
  let length = 0;
  bench.add('JSON.stringify', () => {
    length += JSON.stringify(data).length;
  });
  bench.add('checked', () => {
    length += plainToJson(toPlain(data, 'data'), 'data').length;
  });
  await bench.run();
  if (length === 0) throw new Error('nothing was measured');
  const [bare, checked] = bench.tasks.map(({ result }) =>
    'latency' in result ? result.latency.p50 * 1000 : Number.NaN,
  );
  return [
    {
      measure: 'check, copy and serialise a payload / JSON.stringify',
      asked: '≤ 2 ×',
      measured: times(checked! / bare!),
      holds: smoke || checked! <= 2 * bare!,
      detail: `p50 ${checked!.toFixed(2)} µs against ${bare!.toFixed(2)} µs, tinybench`,
    },
  ];
};

await runAlone(import.meta.url, serialisePayload);
