// The demo's command line.
import { parseArgs } from 'node:util';
import { loopbackAddress } from './sip/fields.ts';
import type { Address } from './sip/message.ts';

export const usage: string = `usage: npm run demo
         Place 5,000 calls, show what they cost, kill the router and show that nothing is lost.
           --calls N            how many calls, 100 to 100,000 (default 5,000)
           --rate N             calls a second, 10 to 2,000 (default 400)
           --postgres           keep the events in a PostgreSQL started for it, and count its rows at the end

       npm run demo -- --listen PORT --trunk HOST:PORT
         Serve any SIP client on loopback until Ctrl-C.
           --listen PORT        UDP port on 127.0.0.1; 0 takes a free one
           --trunk HOST:PORT    where calls go, a loopback address; may be given several times

       Both:
           --data DIR           keep the data in DIR (default: a temporary folder, removed at the end)
           --help`;

export type Arguments =
  | { readonly mode: 'help' }
  | {
      readonly mode: 'demo';
      readonly calls: number;
      readonly rate: number;
      readonly postgres: boolean;
      readonly data: string | undefined;
    }
  | {
      readonly mode: 'serve';
      readonly listen: Address;
      readonly trunks: readonly Address[];
      readonly data: string | undefined;
    };

export class UsageError extends Error {}

/** @throws UsageError */
export function readArguments(words: readonly string[]): Arguments {
  const { listen, trunk: trunks = [], data, calls, rate, postgres = false, help } = parse(words);
  if (help) return { mode: 'help' };
  if (data === '') throw new UsageError('--data needs the name of a folder');
  if (listen === undefined) {
    if (trunks.length > 0) throw new UsageError('--trunk needs --listen');
    const demo = { calls: wholeNumber('--calls', calls, 100, 100_000), rate: wholeNumber('--rate', rate, 10, 2_000) };
    return { mode: 'demo', ...demo, postgres, data };
  }
  if (postgres) throw new UsageError('--postgres is for the demo, without --listen');
  if (trunks.length === 0) throw new UsageError('--listen needs at least one --trunk HOST:PORT');
  const address = { host: '127.0.0.1', port: wholeNumber('--listen', listen, 0, 65_535) };
  return { mode: 'serve', listen: address, trunks: trunks.map((trunk) => trunkAddress(trunk, address)), data };
}

function parse(words: readonly string[]): {
  listen?: string;
  trunk?: string[];
  data?: string;
  calls: string;
  rate: string;
  postgres?: boolean;
  help?: boolean;
} {
  const options = {
    listen: { type: 'string' },
    trunk: { type: 'string', multiple: true },
    data: { type: 'string' },
    calls: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '400' },
    postgres: { type: 'boolean' },
    help: { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...words], options, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function wholeNumber(option: string, text: string, low: number, high: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= low && value <= high)) {
    throw new UsageError(`${option} is '${text}', must be a whole number from ${low} to ${high}`);
  }
  return value;
}

function trunkAddress(text: string, self: Address): Address {
  const address = /^[\w.]+:\d{1,5}$/.test(text) ? loopbackAddress(`sip:${text}`) : undefined;
  if (!address) throw new UsageError(`--trunk is '${text}', must be HOST:PORT on loopback, such as 127.0.0.1:5070`);
  if (address.host === self.host && address.port === self.port) throw new UsageError('--trunk is the router itself');
  return address;
}
