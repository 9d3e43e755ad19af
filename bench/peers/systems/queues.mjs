// Job queues on a database: what a Node user would put between an event and its handlers.
import { Queue } from 'bullmq';
import { makeWorkerUtils } from 'graphile-worker';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { routed } from '../../payload.ts';

const boss = (perCall) => ({
  async open({ postgres }) {
    const pgBoss = new PgBoss({ connectionString: postgres, schema: `boss${perCall}`, max: 16 });
    await pgBoss.start();
    await pgBoss.createQueue('calls');
    const many = (i) => Array.from({ length: perCall }, (_, j) => ({ data: routed(i + j) }));
    return {
      call: (i) => (perCall === 1 ? pgBoss.send('calls', routed(i)) : pgBoss.insert('calls', many(i))),
      close: () => pgBoss.stop({ graceful: false, close: true }),
    };
  },
});

export const pgBossSend = boss(1);
export const pgBossInsert = boss(100);

const graphile = (perCall) => ({
  async open({ postgres }) {
    const pgPool = new pg.Pool({ connectionString: postgres, max: 16 });
    const quiet = { scope: () => () => {} };
    const { Logger } = await import('graphile-worker');
    const utils = await makeWorkerUtils({
      pgPool,
      schema: `graphile${perCall}`,
      logger: new Logger(() => () => quiet),
    });
    await utils.migrate();
    const many = (i) => Array.from({ length: perCall }, (_, j) => ({ identifier: 'call', payload: routed(i + j) }));
    return {
      call: (i) => (perCall === 1 ? utils.addJob('call', routed(i)) : utils.addJobs(many(i))),
      async close() {
        await utils.release();
        await pgPool.end();
      },
    };
  },
});

export const graphileAdd = graphile(1);
export const graphileAdd100 = graphile(100);

export const bullmq = {
  async open({ redis }) {
    const queue = new Queue('calls', { connection: { host: '127.0.0.1', port: redis } });
    await queue.waitUntilReady();
    return { call: (i) => queue.add('call', routed(i)), close: () => queue.close() };
  },
};
