// Event-sourced commands: read the stream, decide, append. Two calls in flight never meet in one stream: retries are not
// what is measured here. A stream is left for a new one after 100 events, so that what a command reads stays small.
import { Command, EventStore, EventType, tuple } from '@castore/core';
import { InMemoryEventStorageAdapter } from '@castore/event-storage-adapter-in-memory';
import { CommandHandler, getInMemoryEventStore } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import { routed } from '../../payload.ts';

const lanes = 256;

/** Makes a call of a stream that nobody else is using. */
function onFreeStream(call) {
  const run = `${process.pid}-${Date.now()}`;
  const free = Array.from({ length: lanes }, (_, lane) => ({ lane, events: 0 }));
  return async (i) => {
    const stream = free.shift();
    await call(`call-${run}-${stream.lane}-${Math.floor(stream.events++ / 100)}`, i);
    free.push(stream);
  };
}

const handle = CommandHandler({ evolve: (state) => ({ count: state.count + 1 }), initialState: () => ({ count: 0 }) });
const decide = (i) => () => ({ type: 'CallRouted', data: routed(i) });

const emmett = (store) => onFreeStream((stream, i) => handle(store, stream, decide(i)));

export const emmettMemory = {
  async open() {
    return { call: emmett(getInMemoryEventStore()), close() {} };
  },
};

export const emmettPostgresql = {
  async open({ postgres }) {
    const store = getPostgreSQLEventStore(postgres, { schema: { autoMigration: 'CreateOrUpdate' } });
    return { call: emmett(store), close: () => store.close() };
  },
};

export const castore = {
  async open() {
    const store = new EventStore({
      eventStoreId: 'CALLS',
      eventTypes: [new EventType({ type: 'CallRouted' })],
      reducer: (_, event) => ({ aggregateId: event.aggregateId, version: event.version }),
      eventStorageAdapter: new InMemoryEventStorageAdapter(),
    });
    const command = new Command({
      commandId: 'ROUTE',
      requiredEventStores: tuple(store),
      handler: async ({ id, data }, [calls]) => {
        const { aggregate } = await calls.getAggregate(id);
        const version = (aggregate?.version ?? 0) + 1;
        await calls.pushEvent({ aggregateId: id, version, type: 'CallRouted', payload: data });
      },
    });
    const call = onFreeStream((id, i) => command.handler({ id, data: routed(i) }, [store]));
    return { call, close() {} };
  },
};
