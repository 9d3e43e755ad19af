// An aggregate that sends and receives messages, and one that fails as a file says. Imported by shards: no side effects.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Rejected } from '../../src/base/errors.ts';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const Courier = defineAggregate('courier', {
  module: import.meta.url,
  state: () => ({ taken: [] as string[] }),
  events: { Sent: event<{ to: string }>(), Taken: event<{ what: string }>() },
  evolve: {
    Sent: (state) => state,
    Taken: (state, { what }) => ({ taken: [...state.taken, what] }),
  },
  commands: {
    /** Each is a message of its own, to `take` if it says no more. */
    send(
      courier,
      to: string,
      what: string[],
      command: 'take' | 'takeUnless' | 'takeWhen' | 'refuse' | 'die' | 'waitFor' = 'take',
      file = '',
    ) {
      courier.raise('Sent', { to });
      const target = courier.send(Courier, to);
      for (const one of what) {
        if (command === 'takeUnless' || command === 'takeWhen') target[command](one, file);
        else target[command](one);
      }
    },
    /** One message to each of so many others, each of which then writes so many bytes. */
    fillOthers(courier, count: number, bytes: number) {
      courier.raise('Sent', { to: 'others' });
      for (let i = 0; i < count; i++) courier.send(Courier, `${courier.id}-${i}`).fill(bytes);
    },
    take(courier, what: string) {
      courier.raise('Taken', { what });
    },
    /** Fails while the file is there; what the file holds fails, and nothing else, if it holds something. */
    takeUnless(courier, what: string, file: string) {
      if (existsSync(file)) {
        const named = readFileSync(file, 'utf8');
        if (named === '' || named === what) throw new Error('the file is there');
      }
      courier.raise('Taken', { what });
    },
    /** Fails while the file is there; else says in a file that it runs, and waits for another one that says how it ends. */
    async takeWhen(courier, what: string, file: string) {
      if (existsSync(file)) throw new Error('the file is there');
      writeFileSync(`${file}-runs-${what}`, '');
      while (!existsSync(`${file}-ends-${what}`)) await sleep(5);
      if (readFileSync(`${file}-ends-${what}`, 'utf8') === 'fails') throw new Error('as the file says');
      courier.raise('Taken', { what });
    },
    refuse(_courier, what: string) {
      throw new Rejected('not-wanted', { what });
    },
    die(_courier, _what: string) {
      process.exit(3);
    },
    async waitFor(courier, file: string) {
      while (!existsSync(file)) await sleep(5);
      courier.raise('Taken', { what: file });
    },
    async takeSlowly(courier, what: string) {
      await sleep(20);
      courier.raise('Taken', { what });
    },
    fill(courier, bytes: number) {
      courier.raise('Taken', { what: 'x'.repeat(bytes) });
    },
    block(_courier, ms: number) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    },
    ignore(_courier, _text: string) {},
    taken(courier) {
      return courier.state.taken;
    },
    async askAround(courier, path: string[]): Promise<string> {
      const [next, ...rest] = path;
      if (next === undefined) return courier.id;
      return courier.ask(Courier, next).askAround(rest);
    },
    async waitThenAsk(courier, file: string, id: string): Promise<unknown> {
      while (!existsSync(file)) await sleep(5);
      return courier.ask(Courier, id).taken();
    },
  },
});
