// What it costs to save an event within a transaction of one's own: `saveWithTx` against a bare INSERT of the same row into
// the same table, in turn on one connection. Each in a transaction of its own, which has changed a row of the user's before
// and is committed afterwards, both outside the clock.
import pg from 'pg';
import { PostgresAppend } from '../src/adapters/postgres/outbox/append.ts';
import { OutboxHints } from '../src/entity/outbox-door.ts';
import { Transactions } from '../src/entity/transactions.ts';
import { migrate, type NewEvent, newId } from '../src/index.ts';
import { answer, median, micros, percentiles, type Row, roundsOf, runAlone, type Suite } from './measure.ts';
import { routed } from './payload.ts';
import { withDatabase } from './postgres-bench.ts';

const schema = 'trunkline';
const versions = 4; // each aggregate gets so many events: the first makes its head, the others move it

export const saveWithTx: Suite = (settings): Promise<Row[]> =>
  withDatabase(async (url) => {
    await migrate({ connection: url, schema });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('select trunkline.make_partition(now())');
    await client.query(
      'set synchronous_commit = on; create table own (id int primary key, n int); insert into own values (1, 0)',
    );
    const transactions = new Transactions(new PostgresAppend(schema), new Map(), new OutboxHints());
    const bare = (event: NewEvent): Promise<unknown> =>
      client.query({
        name: 'bare',
        text: `insert into trunkline.domain_events
          (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, metadata)
          values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
        values: [
          event.id,
          'bare',
          event.aggregateId,
          event.version,
          event.type,
          1,
          new Date(),
          JSON.stringify(event.data),
          null,
        ],
      });
    const save = (event: NewEvent): Promise<unknown> => transactions.append(client, [event]);

    const clock = async (work: (event: NewEvent) => Promise<unknown>, count: number): Promise<number[]> => {
      const samples: number[] = [];
      for (let i = 0; i < count; i += versions) {
        const aggregateId = newId();
        for (let version = 1; version <= versions; version++) {
          const event = {
            aggregateType: 'saved',
            aggregateId,
            type: 'CallRouted',
            data: routed(i),
            version,
            id: newId(),
          };
          await client.query('begin');
          await client.query('update own set n = n + 1 where id = 1');
          const start = performance.now();
          await work(event);
          samples.push((performance.now() - start) * 1000);
          await client.query('commit');
        }
      }
      return samples;
    };
    const rounds = roundsOf(settings, 40);
    const count = settings.smoke ? 20 : 100;
    const [bareSamples, saveSamples]: [number[], number[]] = [[], []];
    const ratios: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const [plain, saved] = [await clock(bare, count), await clock(save, count)];
      if (round === 0) continue;
      bareSamples.push(...plain);
      saveSamples.push(...saved);
      ratios.push(median(saved) / median(plain));
    }
    await client.end();
    return [
      answer(
        'postgres-save',
        ratios,
        `p50 ${micros(median(saveSamples))} against ${micros(median(bareSamples))}; p99 ${micros(percentiles(saveSamples).p99)} against ${micros(percentiles(bareSamples).p99)}; head, event, outbox row`,
      ),
    ];
  });

await runAlone(import.meta.url, saveWithTx);
