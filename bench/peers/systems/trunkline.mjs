// Trunkline itself, by the level that a command waits for.
import { join } from 'node:path';
import * as trunkline from '../../../src/index.ts';
import { Probe } from '../../aggregates.ts';
import { routed } from '../../payload.ts';

const { createRuntime } = trunkline;

const at = (ack, options = {}, perCall = 1) => ({
  async open({ folder }) {
    const runtime = await createRuntime({
      logger: false,
      dataDir: join(folder, 'data'),
      aggregates: [Probe],
      shards: 1,
      ...options,
    });
    const probes = Array.from({ length: 256 }, (_, i) => runtime.ref(Probe, `p${i}`).with({ ack }));
    return {
      call: (i) => (perCall === 1 ? probes[i & 255].route(routed(i)) : probes[i & 255].routeMany(perCall)),
      close: () => runtime.close(),
    };
  },
});

export const raised = at('raised', { flush: 'latency' });
export const written = at('written', { flush: 'latency' });
export const written100 = at('written', { flush: 'latency' }, 100);
export const synced = at('synced', { flush: 'durable' });
export const synced100 = at('synced', { flush: 'durable' }, 100);
export const stored = at('stored', { flush: 'durable' });

const inPostgresql = (perCall) => ({
  async open({ folder, postgres }) {
    const schema = 'trunkline_peers';
    await trunkline.migrate({ connection: postgres, schema });
    const store = trunkline.postgres({ connectionString: postgres, schema });
    return at('stored', { flush: 'durable', store }, perCall).open({ folder });
  },
});

export const postgresql = inPostgresql(1);
export const postgresql100 = inPostgresql(100);
