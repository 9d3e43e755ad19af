// A service that keeps accounts in a table and raises events about them: one transaction for both. Written twice: step by
// step, and as a unit of work.
import type pg from 'pg';
import type { Runtime } from 'trunkline';
import { Account } from './account.ts';

export class AccountService {
  private readonly runtime: Runtime;
  private readonly pool: pg.Pool;

  constructor(runtime: Runtime, pool: pg.Pool) {
    this.runtime = runtime;
    this.pool = pool;
  }

  /** Begin, business logic, save the entity, save its events, commit, publish without waiting. */
  async processOperation(id: string, cents: number): Promise<void> {
    const { store, publisher } = this.runtime;
    const client = await this.pool.connect();
    try {
      await client.query('begin');
      const account = new Account(id).rebuild(await store.getByAggregate('account', id));
      account.deposit(cents);
      await saveAccount(client, account);
      const events = account.uncommittedEvents;
      await store.saveWithTx(client, events);
      await client.query('commit');
      publisher.publishAsync(...events);
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  /** The same as a unit of work. `check` runs before the commit, in the transaction: if it throws, nothing has happened. */
  async deposit(id: string, cents: number, check: (after: number) => void): Promise<void> {
    const client = await this.pool.connect();
    try {
      const work = this.runtime.unitOfWork({ client });
      work.before('BalanceUpdated', (event) => check((event.data as { after: number }).after));
      await work.run(async (unit) => {
        const account = unit.register(new Account(id));
        account.rebuild(await this.runtime.store.getByAggregate('account', id));
        account.deposit(cents);
        await saveAccount(client, account);
      });
    } finally {
      client.release();
    }
  }
}

const saveAccount = (client: pg.ClientBase, { id, balanceCents }: Account): Promise<unknown> =>
  client.query(
    `insert into accounts (id, balance_cents) values ($1, $2)
     on conflict (id) do update set balance_cents = excluded.balance_cents`,
    [id, balanceCents],
  );
