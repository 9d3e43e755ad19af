// The flusher, from the log into PostgreSQL, against a bare COPY of the same rows; and what many partitions cost it.
import { interleave, median, type Row, runAlone, type Suite, thousands, times } from './measure.ts';
import { bareCopy, empty, flush, schemaWith, withDatabase, withLog } from './postgres-bench.ts';

const batchFrames = 10_000;

export const postgresFlush: Suite = ({ smoke }) => {
  const rounds = smoke ? 1 : 20;
  const aggregates = smoke ? 20 : 1_000;
  const measured = smoke ? 1 : 5;
  return withDatabase((url) =>
    withLog(rounds, aggregates, async (log, last): Promise<Row[]> => {
      await schemaWith(url, 'few', 2);
      await schemaWith(url, 'many', 60);
      const flushed = (schema: string) => async (): Promise<number> => {
        await empty(url, schema);
        return flush(url, schema, log, last, batchFrames);
      };
      const copied = async (): Promise<number> => {
        await empty(url, 'few');
        return bareCopy(url, 'few', log, last, batchFrames);
      };
      const { a: ours, b: bare } = await interleave(measured, flushed('few'), copied);
      const { a: few, b: many } = await interleave(measured, flushed('few'), flushed('many'));
      const share = median(ours) / median(bare);
      const cost = median(few) / median(many);
      return [
        {
          measure: 'flusher, log to PostgreSQL with heads and checkpoint, against a bare COPY',
          asked: '≥ 0.7 ×',
          measured: times(share),
          holds: share >= 0.7,
          detail: `${thousands(median(ours))} and ${thousands(median(bare))} events/s; ten events an aggregate, ${batchFrames} a batch`,
        },
        {
          measure: 'a flush with 60 monthly partitions, against 2',
          asked: '≤ 1.2 ×',
          measured: times(cost),
          holds: cost <= 1.2,
          detail: `${thousands(median(many))} and ${thousands(median(few))} events/s`,
        },
      ];
    }),
  );
};

await runAlone(import.meta.url, postgresFlush);
