// The demo's little world: who calls whom, what comes of it, and which accounts and bids that takes. A call's plan follows
// from its number alone, so that the caller, the callee and the summary agree without talking to each other.
import type { AdmissionOptions } from '../proxy/admission.ts';
import type { Provision } from '../routing/provision.ts';

export type CallKind =
  | 'caller hangs up'
  | 'callee hangs up'
  | 'busy'
  | 'cancelled'
  | 'no credit'
  | 'suspended'
  | 'no route';

export interface CallPlan {
  readonly kind: CallKind;
  /** Account, the user part of From. */
  readonly caller: string;
  /** Called number; its last digit tells the callee what to do. */
  readonly called: string;
  /** How long the call lasts once answered, if the caller hangs up. */
  readonly holdMs: number;
}

/** What the callee does, by the last digit of the called number. */
export const calleeDigits = { answers: 1, answersAndHangsUp: 2, isBusy: 3, ringsOn: 4 } as const;

interface Kind {
  /** Calls of each hundred. */
  readonly share: number;
  /** What the caller sees in the end. */
  readonly status: number;
  readonly digit: number;
  readonly caller?: string;
  readonly prefix?: string;
}

const kinds: Readonly<Record<CallKind, Kind>> = {
  'caller hangs up': { share: 66, status: 200, digit: calleeDigits.answers },
  'callee hangs up': { share: 12, status: 200, digit: calleeDigits.answersAndHangsUp },
  busy: { share: 9, status: 486, digit: calleeDigits.isBusy },
  cancelled: { share: 5, status: 487, digit: calleeDigits.ringsOn },
  'no credit': { share: 3, status: 402, digit: calleeDigits.answers, caller: 'pennyless' },
  suspended: { share: 2, status: 403, digit: calleeDigits.answers, caller: 'dormant' },
  'no route': { share: 3, status: 404, digit: calleeDigits.answers, prefix: '99' },
};

const hundred: readonly CallKind[] = Object.entries(kinds).flatMap(([kind, { share }]) =>
  Array<CallKind>(share).fill(kind as CallKind),
);

const payers = ['globex', 'initech', 'umbrella', 'hooli'] as const;
const prefixes = ['44', '49', '1'] as const;

/** Names of the demo's trunks. */
export const trunks: readonly string[] = ['northwind', 'bluebird', 'cobalt'];

export function planCall(index: number): CallPlan {
  // 37 and 100 have no common factor: each hundred calls has every kind in its share, well mixed.
  const kind = hundred[(index * 37) % 100]!;
  const { digit, caller = payers[index % payers.length]!, prefix = prefixes[index % prefixes.length]! } = kinds[kind];
  return { kind, caller, called: `${prefix}${2_000_000 + index}${digit}`, holdMs: 20 + ((index * 7_919) % 180) };
}

export function statusOf(kind: CallKind): number {
  return kinds[kind].status;
}

export const demoProvision: Provision = {
  accounts: [
    ...payers.map((id) => ({ id, name: `${id} telecom`, deposit: '500.00', creditLimit: '100.00' })),
    { id: 'pennyless', name: 'Pennyless and Sons', deposit: '0.001', creditLimit: '0.00' },
    { id: 'dormant', name: 'Dormant Holdings', deposit: '20.00', creditLimit: '0.00', suspended: 'unpaid invoice' },
  ],
  bids: trunks.flatMap((trunk, row) =>
    prefixes.map((prefix, column) => ({
      id: `${trunk}-${prefix}`,
      trunk,
      prefix,
      ratePerMinute: `0.0${110 + ((row + column) % 3) * 9}`,
    })),
  ),
};

/** One caller makes all the calls, for all the accounts: the whole table may be its own. */
export const demoAdmission: AdmissionOptions = {
  peers: [
    {
      host: '127.0.0.1',
      accounts: demoProvision.accounts.map(({ id }) => id),
      transactionsLimit: Number.MAX_SAFE_INTEGER,
      callsLimit: Number.MAX_SAFE_INTEGER,
      callsPerSecond: Number.MAX_SAFE_INTEGER,
    },
  ],
};
