// A handler passes the metadata of an event on that raise_event has signed with a role's name: every door of ours takes it, and what the
// handler makes bears no role's name, since the server has not written that one.
import pg from 'pg';
import { expect, test } from 'vitest';
import {
  AggregateRoot,
  type Metadata,
  type NewEvent,
  postgres,
  type Runtime,
  type StoredEvent,
} from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { startRuntime, until } from '../runtime/scratch.ts';

class Note extends AggregateRoot {
  constructor(id: string) {
    super('note', id);
  }
  make(metadata: Metadata): void {
    this.raise('Noted', {}, metadata);
  }
}

const noted = (aggregateId: string, metadata: Metadata): NewEvent => ({
  ...{ aggregateType: 'note', aggregateId, type: 'Noted', data: {} },
  metadata,
});

/** The doors that take metadata, by the id of what each makes. */
const doors: Readonly<Record<string, (runtime: Runtime, metadata: Metadata, client: pg.Client) => Promise<unknown>>> = {
  publish: (runtime, metadata) => runtime.publisher.publish(noted('publish', metadata)),
  publishAsync: async (runtime, metadata) => runtime.publisher.publishAsync(noted('publishAsync', metadata)),
  save: (runtime, metadata) => runtime.store.save([noted('save', metadata)], {}),
  saveWithTx: async (runtime, metadata, client) => {
    await client.query('begin');
    await runtime.store.saveWithTx(client, [noted('saveWithTx', metadata)]);
    await client.query('commit');
  },
  'saveWithTx of several': async (runtime, metadata, client) => {
    await client.query('begin');
    const several = [noted('saveWithTx of several', metadata), noted('saveWithTx of several', metadata)];
    await runtime.store.saveWithTx(client, several);
    await client.query('commit');
  },
  'an entity': async (runtime, metadata) => {
    const note = new Note('an entity');
    note.make(metadata);
    await runtime.unitOfWork().run(async (unit) => void unit.register(note));
  },
  command: (runtime, metadata) => runtime.ref(Counter, 'command').with({ metadata }).add(1),
};

test('what is made with the metadata of a raised event has all of it but the names of roles', async () => {
  const url = await migratedDatabase();
  const runtime = await startRuntime({ aggregates: [Counter], store: postgres({ connectionString: url }), shards: 1 });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const failures: unknown[] = [];
  const raised: StoredEvent[] = [];
  runtime.subscribe({
    name: 'passing on',
    events: ['Raised'],
    async handle(given) {
      for (const [door, pass] of Object.entries(doors)) {
        await pass(runtime, given.metadata, client).catch((error) => failures.push([door, error]));
        await client.query('rollback');
      }
      raised.push(given);
    },
  });
  const role = `raiser_${process.pid}`;
  await administer(
    url,
    `create role ${role}; grant usage on schema trunkline to ${role}; grant execute on function trunkline.raise_event to ${role};
     insert into trunkline.raise_rights values ('${role}', 'invoice', '*'); set role ${role};
     select trunkline.raise_event('invoice', 'one', 'Raised', '{}', '{"source": "batch", "own": {"databaseRole": "kept"}}')`,
  );
  await until(
    () => raised.length,
    (count) => count === 1,
  );
  expect(failures).toEqual([]);
  expect(raised[0]!.metadata).toMatchObject({ databaseRole: role, databaseLogin: new URL(url).username });
  const made = await until(
    () => administer(url, `select aggregate_id, metadata from trunkline.domain_events where event_type <> 'Raised'`),
    (rows) => new Set(rows.map((row) => row.aggregate_id)).size === Object.keys(doors).length,
  );
  for (const { aggregate_id, metadata } of made) {
    expect(metadata, aggregate_id).toEqual({ source: 'batch', own: { databaseRole: 'kept' } });
  }
  await client.end();
  await runtime.close();
  await administer(url, `drop owned by ${role}; drop role ${role}`);
});
