// An aggregate whose commands do what commands must not. Imported by shard threads.
import { existsSync, writeFileSync } from 'node:fs';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

export const Rogue = defineAggregate('rogue', {
  module: import.meta.url,
  state: () => ({ count: 0 }),
  events: { Counted: event<Record<string, never>>() },
  evolve: { Counted: (state) => ({ count: state.count + 1 }) },
  commands: {
    count(rogue) {
      rogue.raise('Counted', {});
      return rogue.state.count;
    },
    /** Raises, and never settles. Like the loops below it makes the file, once it has begun. */
    hang(rogue, begun?: string): Promise<void> {
      rogue.raise('Counted', {});
      say(begun);
      return new Promise(() => {});
    },
    /** Never gives its thread back. */
    loop(rogue, begun?: string) {
      rogue.raise('Counted', {});
      say(begun);
      for (;;);
    },
    /** Ends its thread as soon as the file is there. */
    async exitWhen(_rogue, file: string) {
      while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 1));
      process.exit(3);
    },
    async loopLater(rogue, begun?: string) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      rogue.raise('Counted', {});
      say(begun);
      for (;;);
    },
    /** Leaves a promise behind that is rejected. */
    stray(rogue) {
      rogue.raise('Counted', {});
      void Promise.reject(new Error('nobody awaits this'));
      return rogue.state.count;
    },
    throwRevoked() {
      throw revoked();
    },
    returnRevoked(): any {
      return revoked();
    },
    async rejectRevoked() {
      throw revoked();
    },
    returnBadThenable(): any {
      return Object.defineProperty({}, 'then', {
        get() {
          throw new Error('no then here');
        },
      });
    },
    returnThenable(rogue): any {
      rogue.raise('Counted', {});
      const then = (resolve: (value: number) => void): void => {
        resolve(7);
        resolve(8);
      };
      return { then };
    },
  },
});

function say(file: string | undefined): void {
  if (file !== undefined) writeFileSync(file, '');
}
