// What writes lines or rows into a file of its own.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { routed } from '../../payload.ts';

export const pinoThread = {
  async open({ folder }) {
    const transport = pino.transport({ target: 'pino/file', options: { destination: join(folder, 'events.log') } });
    await new Promise((resolve) => transport.once('ready', resolve));
    const logger = pino(transport);
    return {
      call: (i) => logger.info(routed(i)),
      close: () =>
        new Promise((resolve) => {
          transport.once('close', resolve);
          transport.end();
        }),
    };
  },
};

const sqlite = (synchronous, perCall) => ({
  async open({ folder }) {
    const database = new DatabaseSync(join(folder, 'events.sqlite'));
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
    database.exec(
      'CREATE TABLE events (position INTEGER PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (id, version))',
    );
    const insert = database.prepare('INSERT INTO events (id, version, type, data) VALUES (?, ?, ?, ?)');
    let version = 0;
    const one = (i) => insert.run(`p${i & 255}`, ++version, 'CallRouted', JSON.stringify(routed(i)));
    const call = (i) => {
      if (perCall === 1) {
        one(i);
        return;
      }
      database.exec('BEGIN');
      for (let j = 0; j < perCall; j++) one(i + j);
      database.exec('COMMIT');
    };
    return { call, close: () => database.close() };
  },
});

export const sqliteNormal = sqlite('NORMAL', 1);
export const sqliteFull = sqlite('FULL', 1);
export const sqliteFull100 = sqlite('FULL', 100);
