// Replay from PostgreSQL: every event read, decoded, and its payload looked at.
import { openEventStore, postgres } from '../src/index.ts';
import { answer, type Row, roundsOf, runAlone, type Suite } from './measure.ts';
import type { Routed } from './payload.ts';
import { flush, schemaWith, withDatabase, withLog } from './postgres-bench.ts';

export const postgresReplay: Suite = (settings) =>
  withDatabase((url) =>
    withLog(settings.smoke ? 1 : 20, settings.smoke ? 20 : 1_000, async (log, last): Promise<Row[]> => {
      await schemaWith(url, 'replay', 2);
      await flush(url, 'replay', log, last, 10_000);
      await using store = await openEventStore(postgres({ connectionString: url, schema: 'replay' }));
      const replay = async (): Promise<number> => {
        const start = performance.now();
        let attempts = 0;
        for await (const { data } of store.query()) attempts += (data as Routed).attempts;
        if (attempts !== 2 * last) throw new Error('the replay is wrong');
        return last / ((performance.now() - start) / 1000);
      };
      await replay();
      const rates: number[] = [];
      for (let i = 0; i < roundsOf(settings, 5); i++) rates.push(await replay());
      return [answer('postgres-replay', rates, `${last} events in pages of 5,000, one connection`)];
    }),
  );

await runAlone(import.meta.url, postgresReplay);
