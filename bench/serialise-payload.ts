// What checking a payload adds to serialising it: one thread, no runtime. By tinybench.
import { Bench } from 'tinybench';
import { plainToJson, toPlain } from '../src/wire/payload.ts';
import { answer, median, micros, roundsOf, runAlone, type Suite, sized } from './measure.ts';
import { routed } from './payload.ts';
import { slowPath } from './slow.ts';

const data = routed(1);
const slowly = slowPath('serialise');

/** p50 of both, in microseconds. */
async function round(time: number): Promise<{ bare: number; checked: number }> {
  const bench = new Bench({ time, warmupTime: time / 2 });
  let length = 0;
  bench.add('bare', () => {
    length += JSON.stringify(data).length;
  });
  bench.add('checked', () => {
    slowly?.();
    length += plainToJson(toPlain(data, 'data'), 'data').length;
  });
  await bench.run();
  if (length === 0) throw new Error('nothing was measured');
  const [bare, checked] = bench.tasks.map(({ result }) =>
    'latency' in result ? result.latency.p50 * 1000 : Number.NaN,
  );
  return { bare: bare!, checked: checked! };
}

export const serialisePayload: Suite = async (settings) => {
  const time = sized(settings, { smoke: 1, quick: 100, full: 300 });
  const rounds = [];
  for (let i = 0; i < roundsOf(settings, 5); i++) rounds.push(await round(time));
  return [
    answer(
      'serialise-ratio',
      rounds.map(({ bare, checked }) => checked / bare),
      `p50 ${micros(median(rounds.map((r) => r.checked)))} against ${micros(median(rounds.map((r) => r.bare)))}, tinybench`,
    ),
  ];
};

await runAlone(import.meta.url, serialisePayload);
