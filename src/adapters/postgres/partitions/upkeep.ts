// Maintains the partitions while a runtime runs: now and then, for a moment, on a connection opened for it. Of several
// runtimes on one database one does it at a time. What it could not do stands in the runtime's status, and is tried again soon.
import type pg from 'pg';
import { clearTimeout, setTimeout } from '../../../base/clock.ts';
import { guarded, unawaited } from '../../../base/guarded.ts';
import type { UpkeepStatus } from '../../../outbox/outbox.ts';
import { keepMonths } from '../schema/months.ts';
import { checkSchema } from '../schema/session.ts';
import { failure } from '../session/failure.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { openClient } from '../session/server-session.ts';

const firstMs = 5_000; // not in the way of the start
const everyMs = 10 * 60_000;
const soonMs = 60_000;
const monthsAhead = 3;

export class PartitionUpkeep {
  status: UpkeepStatus = {
    missingMonths: [],
    monthsInDefault: [],
    beyondRange: 0,
    ownRanges: [],
    lastError: undefined,
  };
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

  /** Lets go of what is running: its transaction is undone, and the next upkeep does it again. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.stopping.abort();
    await this.running;
  }

  private plan(inMs: number): void {
    const turn = (): void => {
      this.running = this.keep();
      unawaited(this.running, (error) => this.onError(error as Error));
    };
    this.timer = setTimeout(guarded(turn), inMs).unref();
  }

  private async keep(): Promise<void> {
    await this.keepOnce();
    if (this.timer !== undefined) this.plan(this.status.lastError === undefined ? everyMs : soonMs);
  }

  /** One look; what goes wrong is reported, and stands in the status. */
  async keepOnce(): Promise<void> {
    const { connection, schema, statementTimeoutMs } = this.settings;
    const use = { name: 'trunkline upkeep', timeoutMs: statementTimeoutMs };
    let client: pg.Client | undefined;
    try {
      client = await openClient(connection, use, this.stopping.signal);
      await checkSchema(client, schema); // before anything there is called
      const { missing, inDefault, beyond, ownRanges, failures } = await keepMonths(client, schema, monthsAhead);
      const { lastError } = this.status;
      this.status = { missingMonths: missing, monthsInDefault: inDefault, beyondRange: beyond, ownRanges, lastError };
      if (failures.length > 0) throw failures[0];
      this.status = { ...this.status, lastError: undefined };
    } catch (error) {
      if (!this.stopping.signal.aborted) this.failed(failure(error, schema));
    } finally {
      await client?.end().catch(() => {});
    }
  }

  /** The same is reported once, as long as it lasts. */
  private failed(error: Error): void {
    const isKnown = this.status.lastError?.message === error.message;
    this.status = { ...this.status, lastError: error };
    if (!isKnown) this.onError(error);
  }
}
