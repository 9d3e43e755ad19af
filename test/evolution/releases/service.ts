// The service around the orders, as each release starts it: a handler, a table and a stream.
import {
  type AnyAggregate,
  createRuntime,
  defineProjection,
  kafka,
  type Projection,
  postgres,
  type Runtime,
  type StoredEvent,
  type Subscription,
} from '../../../src/index.ts';

/** What a release configures beside its aggregate. */
export interface Service {
  handler: { name: string; renamedFrom?: string[] };
  /** The event that the table of carts counts, by its name in this release. */
  itemEvent: string;
  /** Which versions the topic carries; none: events as they are stored. */
  versions?: Record<string, number | number[]>;
}

export interface Release {
  number: number;
  Order: AnyAggregate;
  service: Service;
}

export interface Place {
  dataDir: string;
  connectionString: string;
  broker: string;
  prefix: string;
}

const modules: readonly (() => Promise<{ Order: AnyAggregate; service: Service }>)[] = [
  () => import('./r01.ts'),
  () => import('./r02.ts'),
  () => import('./r03.ts'),
  () => import('./r04.ts'),
  () => import('./r05.ts'),
  () => import('./r06.ts'),
  () => import('./r07.ts'),
  () => import('./r08.ts'),
  () => import('./r09.ts'),
  () => import('./r10.ts'),
];

export const loadRelease = async (number: number): Promise<Release> => ({ number, ...(await modules[number - 1]!()) });

export const startRelease = (
  { Order, service }: Release,
  { dataDir, connectionString, broker, prefix }: Place,
): Promise<Runtime> =>
  createRuntime({
    ...{ dataDir, aggregates: [Order], shards: 1, logger: false },
    store: postgres({ connectionString }),
    stream: kafka({
      brokers: [broker],
      topics: { prefix, partitions: 1, internalPrefix: `${prefix}.own` },
      ...(service.versions !== undefined && { versions: service.versions }),
    }),
  });

export const subscribe = (runtime: Runtime, { service }: Release, handle: (event: StoredEvent) => void): Subscription =>
  runtime.subscribe({ ...service.handler, handle });

export const project = (runtime: Runtime, { Order, service }: Release): Projection<{ items: number }> =>
  runtime.project(
    defineProjection<{ items: number }>({
      name: 'carts',
      aggregates: [Order],
      events: [service.itemEvent],
      into: { table: 'carts', keyColumn: 'id' },
      init: () => ({ items: 0 }),
      apply: ({ items }) => ({ items: items + 1 }),
    }),
  );
