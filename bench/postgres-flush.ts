// The flusher, from the log into PostgreSQL, against a bare COPY of the same rows; and what many partitions cost it.
import { answer, interleave, median, type Row, roundsOf, runAlone, type Suite, sized, thousands } from './measure.ts';
import { bareCopy, empty, flush, schemaWith, withDatabase, withLog } from './postgres-bench.ts';

const batchFrames = 10_000;

export const postgresFlush: Suite = (settings) => {
  const rounds = sized(settings, { smoke: 1, quick: 5, full: 20 });
  const aggregates = settings.smoke ? 20 : 1_000;
  const measured = roundsOf(settings, 5);
  return withDatabase((url) =>
    withLog(rounds, aggregates, async (log, last): Promise<Row[]> => {
      await schemaWith(url, 'few', 2);
      await schemaWith(url, 'many', settings.smoke ? 6 : 60);
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
      return [
        answer(
          'postgres-flush',
          ours.map((rate, i) => rate / bare[i]!),
          `${thousands(median(ours))} and ${thousands(median(bare))} events/s; ten events an aggregate, ${batchFrames} a batch`,
        ),
        answer(
          'postgres-partitions',
          few.map((rate, i) => rate / many[i]!),
          `${thousands(median(many))} and ${thousands(median(few))} events/s`,
        ),
      ];
    }),
  );
};

await runAlone(import.meta.url, postgresFlush);
