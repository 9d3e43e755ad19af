// One transaction on a connection of the user's: begun, committed and rolled back for a unit of work.
import { TrunklineError } from '../base/errors.ts';
import type { TransactionClient } from '../store/store.ts';

/** The user's own transaction around the unit of work; without one, publishing is the commit. */
export interface OwnTransaction {
  /** Called once the work has succeeded; what it throws fails the unit of work. */
  commit(): Promise<void> | void;
  /** Called instead of `commit` where the work, or `commit`, has failed. */
  rollback(): Promise<void> | void;
}

export class ClientTransaction implements OwnTransaction {
  private readonly client: TransactionClient;
  private isBegun = false;

  constructor(client: TransactionClient) {
    this.client = client;
  }

  async begin(): Promise<void> {
    await this.run('begin');
    this.isBegun = true;
  }

  async commit(): Promise<void> {
    if (!this.isBegun) await this.begin();
    this.isBegun = false;
    let command: string | undefined;
    try {
      command = await this.run('commit');
    } catch (error) {
      const { message, severity } = error as { message?: string; severity?: string };
      if (severity !== undefined) throw error; // the server has said no
      throw new TrunklineError('OutcomeUnknown', { reason: `no reply to COMMIT (${message})` }, { cause: error });
    }
    // To COMMIT in a transaction that an error has ended the server answers, politely, that it has rolled back.
    if (command === 'ROLLBACK') {
      const reason = 'one of its statements had failed, and the code that caught the error went on';
      throw new TrunklineError('TransactionRolledBack', { reason });
    }
  }

  /** On a connection that is gone there is nothing to roll back. */
  async rollback(): Promise<void> {
    if (!this.isBegun) return;
    this.isBegun = false;
    await this.run('rollback').catch(() => {});
  }

  private async run(text: string): Promise<string | undefined> {
    const result = (await this.client.query({ text, values: [] })) as { command?: string };
    return result.command;
  }
}
