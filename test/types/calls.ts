// The definitions that the type tests ask about: a call with validated and unvalidated events, and its carrier.
import { defineAggregate, event } from 'trunkline';
import { z } from 'zod';

export type CallState =
  | { status: 'idle' }
  | { status: 'created'; caller: string; hops: number }
  | { status: 'routed'; trunk: string };

export const Carrier = defineAggregate('carrier', {
  module: import.meta.url,
  state: () => ({ open: 0 }),
  events: { Reserved: event<{ channels: number }>() },
  evolve: { Reserved: (state, data) => ({ open: state.open + data.channels }) },
  commands: {
    reserve(carrier, channels: number, urgent?: boolean): { free: number } {
      carrier.raise('Reserved', { channels: urgent ? channels + 1 : channels });
      return { free: 10 - carrier.state.open };
    },
    async price(): Promise<string> {
      return '0.01';
    },
  },
});

export const Call = defineAggregate('call', {
  module: import.meta.url,
  state: (): CallState => ({ status: 'idle' }),
  events: {
    CallCreated: event(z.object({ caller: z.string(), hops: z.number().default(0) })),
    CallRouted: event<{ trunk: string; via: 'lcr' | 'fixed' }>(),
    CallEnded: event<{ at: string }>(undefined, { version: 2 }),
  },
  evolve: {
    // The schema's output, not its input: hops is there.
    CallCreated: (_, data) => ({ status: 'created', caller: data.caller, hops: data.hops }),
    CallRouted: (_, data) => ({ status: 'routed', trunk: data.trunk }),
    CallEnded: (_) => ({ status: 'idle' }),
  },
  commands: {
    create(call, input: { caller: string }): void {
      call.raise('CallCreated', input);
    },
    async route(call, input: { trunks: readonly string[] }): Promise<string> {
      const price = await call.ask(Carrier, 'c').price();
      const trunk = `${input.trunks[0]}@${price}`;
      call.raise('CallRouted', { trunk, via: 'lcr' });
      call.send(Carrier, 'c').reserve(1);
      return trunk;
    },
    end(call): boolean {
      call.raise('CallEnded', { at: 'now' });
      return true;
    },
  },
});
