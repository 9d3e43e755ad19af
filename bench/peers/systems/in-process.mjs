// What hands work to another thread, or an event to a listener, and keeps nothing.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { EventEmitter } from 'eventemitter3';
import { Piscina } from 'piscina';
import { routed } from '../../payload.ts';

export const piscina = {
  async open() {
    const filename = new URL('../../idle-task.mjs', import.meta.url).href;
    const pool = new Piscina({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: 64 });
    return { call: (i) => pool.run(routed(i)), close: () => pool.close() };
  },
};

export const messagePort = {
  async open() {
    const worker = new Worker(
      `require('node:worker_threads').parentPort.on('message', function (m) { this.postMessage(m); });`,
      { eval: true },
    );
    await once(worker, 'online');
    const waiting = [];
    worker.on('message', () => waiting.shift()());
    const call = (i) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        worker.postMessage(routed(i));
      });
    return { call, close: () => worker.terminate() };
  },
};

export const eventemitter3 = {
  async open() {
    const emitter = new EventEmitter();
    let total = 0;
    emitter.on('CallRouted', (event) => {
      total += event.attempts;
    });
    return {
      call: (i) => emitter.emit('CallRouted', routed(i)),
      close: () => {
        if (total === 0) throw new Error('nobody listened');
      },
    };
  },
};
