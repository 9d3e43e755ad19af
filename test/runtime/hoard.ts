// Aggregates whose state may be large beside what a command raises and returns.
import { defineAggregate, event } from 'trunkline';

const hoard = (name: string, every: number) =>
  defineAggregate(name, {
    module: import.meta.url,
    snapshot: { every },
    state: (): { kept: string } => ({ kept: '' }),
    events: { Kept: event<{ text: string }>(), Passed: event<{ text: string }>() },
    evolve: { Kept: (_, { text }) => ({ kept: text }), Passed: (state) => state },
    commands: {
      keep(hoard, text: string): void {
        hoard.raise('Kept', { text });
      },
      pass(hoard, text: string, returned: number): string {
        hoard.raise('Passed', { text });
        return 'r'.repeat(returned);
      },
      async passLater(hoard, text: string, returned: number): Promise<string> {
        await Promise.resolve();
        hoard.raise('Passed', { text });
        return 'r'.repeat(returned);
      },
    },
  });

export const Hoard = hoard('hoard', 1);
export const SlowHoard = hoard('slow-hoard', 3);
