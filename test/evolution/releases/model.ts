// What has happened to orders, and what every release must make of it: from the business's side, without the library.

/** One business action; times are milliseconds. */
export type Action =
  | ['open', customer: string, cents: number, currency: string]
  | ['add', sku: string, quantity: number]
  | ['reach', street: string, phone: string]
  | ['redeem', code: string]
  | ['pay', method: string, at: number];

export interface Fact {
  order: string;
  action: Action;
  /** The release that has raised it, and the one that handles it. */
  by: number;
  handledBy: number;
  /** The data directory of the machine where it was raised. */
  at: string;
}

export type Shape = [type: string, schemaVersion: number, data: unknown];

/** The aggregate's name. */
export const nameIn = (release: number): string => (release < 5 ? 'purchase' : release < 10 ? 'order' : 'sale');

const text = (cents: number): string => (cents / 100).toFixed(2);

function opened(name: string, version: number, [, customer, cents, currency]: Action & { 0: 'open' }): Shape {
  const payloads: unknown[] = [
    { customer, total: text(cents) },
    { customer, total: text(cents), currency },
    { customer, amount: text(cents), currency },
    { customer, cents, currency },
    { customer: { name: customer }, cents, currency },
  ];
  return [name, version, payloads[version - 1]];
}

/** The events that a release raises for an action; also those as which it reads what earlier releases have raised for it. */
export function eventsOf(release: number, action: Action): Shape[] {
  switch (action[0]) {
    case 'open': {
      const version = [1, 1, 2, 3, 3, 4, 4, 4, 4, 5][release - 1]!;
      return [opened(release < 5 ? 'PurchaseOpened' : 'OrderPlaced', version, action)];
    }
    case 'add': {
      const [, sku, quantity] = action;
      if (release === 1) return [['LineAdded', 1, { sku }]];
      return [[release < 4 ? 'LineAdded' : 'ItemAdded', 2, { sku, quantity }]];
    }
    case 'reach': {
      const [, street, phone] = action;
      if (release < 6) return [['ContactGiven', 1, { street, phone }]];
      return [
        ['AddressGiven', 1, { street }],
        ['PhoneGiven', 1, { phone }],
      ];
    }
    case 'redeem':
      return release < 8 ? [['CouponUsed', 1, { code: action[1] }]] : [];
    case 'pay': {
      const [, method, at] = action;
      if (release < 7) return [[method === 'card' ? 'PaidByCard' : 'PaidInCash', 1, { at }]];
      if (release < 9) return [['Paid', 1, { method, at }]];
      return [['Paid', 2, { method, at: new Date(at).toISOString() }]];
    }
  }
}

/** Names and versions of the first event in the topic, by the release that publishes it; undefined: as it is stored. */
const openings: ([name: string, version: number][] | undefined)[] = [
  undefined,
  undefined,
  [['PurchaseOpened', 1]],
  [
    ['PurchaseOpened', 1],
    ['PurchaseOpened', 3],
  ],
  [['PurchaseOpened', 3]],
  [['PurchaseOpened', 3]],
  [
    ['PurchaseOpened', 3],
    ['OrderPlaced', 4],
  ],
  [['OrderPlaced', 4]],
  [['OrderPlaced', 4]],
  [['OrderPlaced', 5]],
];

/** The records of a fact in the topic. */
export function recordsOf({ action, by }: Fact): Shape[] {
  const chosen = action[0] === 'open' ? openings[by - 1] : undefined;
  if (chosen !== undefined) return chosen.map(([name, version]) => opened(name, version, action as any));
  if (action[0] === 'add' && by >= 9) return [['LineAdded', 1, { sku: action[1] }]];
  return eventsOf(by, action);
}

/** How many events are stored for a fact: its part of the aggregate's version. */
const storedOf = ({ action, by }: Fact): number => eventsOf(by, action).length;

export const versionOf = (facts: readonly Fact[]): number => facts.reduce((sum, fact) => sum + storedOf(fact), 0);

/** The state of one order, as a release shows it. */
export function stateOf(release: number, facts: readonly Fact[]): unknown {
  const state = { customer: '', total: '', items: [] as string[], address: '', coupons: 0, paid: '' };
  for (const { action } of facts) {
    if (action[0] === 'open') {
      state.customer = action[1];
      state.total = `${text(action[2])} ${action[3]}`;
    }
    if (action[0] === 'add') state.items.push(`${action[2]} ${action[1]}`);
    if (action[0] === 'reach') state.address = `${action[1]}, ${action[2]}`;
    if (action[0] === 'redeem' && release < 8) state.coupons++;
    if (action[0] === 'pay') state.paid = `${action[1]} ${new Date(action[2]).toISOString()}`;
  }
  return state;
}
