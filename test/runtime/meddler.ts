// An aggregate whose own code, called in the middle of a raise, reaches for the command again. Imported by shard threads.
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { defineAggregate, event } from '../../src/index.ts';

interface Open {
  raise(type: string, data: unknown): void;
  send(aggregate: unknown, id: string): { total(): void };
  ask(aggregate: unknown, id: string): { total(): Promise<unknown> };
}

/** The command that runs, and what is to be called once. */
let meddle: (() => void) | undefined;

function meddleOnce(): void {
  const call = meddle;
  meddle = undefined;
  call?.();
}

const plainEvent = () => event<any>();

function meddled(data: unknown): unknown {
  meddleOnce();
  return data;
}

const raising = (open: Open) => ({
  toJSON() {
    open.raise('Counted', {});
    return {};
  },
});

export const Meddler: any = defineAggregate('meddler', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: {
    Reduced: plainEvent(),
    Counted: plainEvent(),
    Validated: event(z.any().transform(meddled)),
  },
  evolve: {
    Reduced: (state: any): { total: number } => {
      meddleOnce();
      return { total: state.total + 1 };
    },
    Counted: (state: any): { total: number } => ({ total: state.total + 1 }),
    Validated: (state: any): { total: number } => ({ total: state.total + 1 }),
  },
  commands: {
    inReducer(meddler: any, called: 'raise' | 'send' | 'ask'): number {
      meddle = callOf(meddler, called);
      meddler.raise('Reduced', {});
      return meddler.version;
    },
    async inReducerLater(meddler: any, called: 'raise' | 'send' | 'ask'): Promise<number> {
      await Promise.resolve();
      meddle = callOf(meddler, called);
      meddler.raise('Reduced', {});
      return meddler.version;
    },
    inValidator(meddler: any): number {
      meddle = callOf(meddler, 'raise');
      meddler.raise('Validated', {});
      return meddler.version;
    },
    inToJson(meddler: any): number {
      meddler.raise('Counted', raising(meddler));
      return meddler.version;
    },
    /** The question's argument raises, so that it is no question before the first raise any more. */
    async inArgument(meddler: any): Promise<void> {
      await meddler.ask(Meddler, 'other').total(raising(meddler));
    },
    /** What libraries that print or compare find on what `ask` and `send` return. */
    probe(meddler: any): unknown[] {
      return ['ask', 'send'].map((called) => {
        const made = meddler[called](Meddler, 'other');
        const marks = [made.toJSON, made.then, made.asymmetricMatch, made[Symbol.iterator]].map((mark) => typeof mark);
        return [JSON.stringify(made), String(made), isDeepStrictEqual(made, {}), typeof made.constructor, ...marks];
      });
    },
    count(meddler: any): number {
      meddler.raise('Counted', {});
      return meddler.version;
    },
    total: (meddler: any): number => meddler.state.total,
  },
} as any);

function callOf(open: Open, called: 'raise' | 'send' | 'ask'): () => void {
  if (called === 'raise') return () => open.raise('Counted', {});
  return () => void open[called](Meddler, 'other').total();
}
