// Maintains the partitions while a runtime runs: now and then, for a moment, on a connection opened for it. Of several
// runtimes on one database one does it at a time.
import type pg from 'pg';
import { clearTimeout, setTimeout } from '../../../base/clock.ts';
import { guarded, unawaited } from '../../../base/guarded.ts';
import { keepPartitions } from '../schema/months.ts';
import { failure } from '../session/failure.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { openClient } from '../session/server-session.ts';

const firstMs = 5_000; // not in the way of the start
const everyMs = 10 * 60_000;
const monthsAhead = 3;

export class PartitionUpkeep {
  private readonly settings: PostgresSettings;
  private readonly onError: (error: Error) => void;
  private timer: NodeJS.Timeout | undefined;
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(settings: PostgresSettings, onError: (error: Error) => void) {
    this.settings = settings;
    this.onError = onError;
  }

  start(): void {
    this.plan(firstMs);
  }

  /** Lets go of what runs: its transaction is undone, and the next upkeep does it again. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.stopping.abort();
    await this.running;
  }

  private plan(inMs: number): void {
    const keep = (): void => {
      this.running = this.keep();
      unawaited(this.running, (error) => this.onError(error as Error));
    };
    this.timer = setTimeout(guarded(keep), inMs).unref();
  }

  private async keep(): Promise<void> {
    const { connection, schema, statementTimeoutMs } = this.settings;
    const use = { name: 'trunkline upkeep', timeoutMs: statementTimeoutMs };
    let client: pg.Client | undefined;
    try {
      client = await openClient(connection, use, this.stopping.signal);
      await keepPartitions(client, schema, monthsAhead);
    } catch (error) {
      if (this.timer !== undefined) this.onError(failure(error, schema));
    } finally {
      await client?.end().catch(() => {});
    }
    if (this.timer !== undefined) this.plan(everyMs);
  }
}
