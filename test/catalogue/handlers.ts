// What a module of handlers may export.
import { defineProjection, EventHandler } from 'trunkline';
import { integration } from 'trunkline/kafka';
import { customer } from './shop.ts';

class Welcome extends EventHandler {
  override readonly handlerName = 'welcome';
  override handles() {
    return 'Registered'; // a name of before
  }
  async handle(): Promise<void> {}
}

class Careful extends EventHandler {
  override readonly handlerName = 'careful';
  override canHandle(type: string): boolean {
    return type === 'Grew';
  }
  async handle(): Promise<void> {}
}

export const welcome: EventHandler = new Welcome();
export const list = [
  welcome,
  { name: 'all-of-it', handle: () => {} },
  { name: 'moves', aggregates: ['client'], events: ['AddressGiven', 'PhoneGiven'], handle: () => {} },
  { name: 'others', aggregates: ['order'], handle: () => {} },
  { name: 'whole', aggregates: [customer], events: '*', where: () => true, handle: () => {} },
];
export const careful: EventHandler = new Careful();
export const sums: unknown = defineProjection({
  name: 'sums',
  aggregates: [customer],
  events: ['Grew'],
  init: () => ({ count: 0 }),
  apply: ({ count }) => ({ count: count + 1 }),
});
export default [integration(customer, { SignedUp: () => undefined })];
export const nothing = 7;
