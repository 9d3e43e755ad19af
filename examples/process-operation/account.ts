// The entity: its state is in a table of the service's own, what happens to it in events.
import { AggregateRoot, Rejected } from 'trunkline';

export class Account extends AggregateRoot {
  balanceCents = 0;

  constructor(id: string) {
    super('account', id);
  }

  deposit(cents: number): void {
    if (!(Number.isSafeInteger(cents) && cents > 0)) throw new Rejected('not-an-amount', { cents });
    this.raise('BalanceUpdated', { before: this.balanceCents, after: this.balanceCents + cents });
  }

  protected override apply(event: { type: string; data: any }): void {
    if (event.type === 'BalanceUpdated') this.balanceCents = event.data.after;
  }
}
