// Where handlers keep what must survive: handlerState on this machine, and those of a store elsewhere, if it has some; with the notes,
// letters and marks that lie in them. Opened when they are first needed. Host thread.

import { dirname } from 'node:path';
import { dataFileOf } from '../adapters/lmdb/handlers/environment.ts';
import { LmdbTables } from '../adapters/lmdb/handlers/tables.ts';
import { existsSync } from '../base/disk.ts';
import { diskFull, isDiskFull } from '../base/disk-reserve.ts';
import { makePrivateFolder, touchPrivate } from '../base/private-file.ts';
import type { StopSteps } from '../base/stop-steps.ts';
import { MessageBox } from '../dead-letters/message-box.ts';
import { StateTables } from '../handler-state/handler-state.ts';
import type { HandlerStateStore } from '../handler-state/handler-state-store.ts';
import { InHand, keyOf } from '../handler-state/in-hand.ts';
import type { ReaderNotes, RemoteHandlerState } from '../handler-state/state-adapter.ts';
import { isFinal } from '../handler-state/store-backoff.ts';
import { Beginnings, beginningsFile } from '../subscriptions/beginnings.ts';
import { StartPositions } from '../subscriptions/start-positions.ts';
import { messagesOwner } from '../wire/care.ts';
import type { StageParts } from './handlers-stage-parts.ts';
import { elsewhereFile } from './offline-handlers.ts';

/** What a folder or a small file takes. */
const folderBytes = 4096;

export interface StoreNews {
  /** These handlerState have come back from an earlier state: nothing more is staged over it in this run. */
  behind(handlerState: StateTables, error: Error): void;
  /** A store has caught up with what was staged. */
  room(): void;
}

export class HandlerStores {
  /** The store's, if it keeps what handlers need. */
  readonly remote: HandlerStateStore | undefined;
  /** Where handlers keep what must survive; and what is kept on this machine in any case. */
  readonly handlerState: StateTables;
  readonly local: StateTables;
  readonly starts: StartPositions;
  readonly beginnings: Beginnings | undefined;
  readonly messageBox: MessageBox;
  /** What was open at the start, if the process had ended in the middle. */
  readonly care: InHand;
  private readonly parts: StageParts;
  private readonly news: StoreNews;
  private readonly readers: ReaderNotes | undefined;
  /** Of the store that keeps it; undefined: it is all on this machine. */
  private readonly kind: RemoteHandlerState['kind'] | undefined;

  constructor(parts: StageParts, state: RemoteHandlerState | undefined, news: StoreNews) {
    this.parts = parts;
    this.news = news;
    const { logId, options, logger } = parts;
    const settings = parts.store?.settings;
    const remote = state?.tables(settings, logId, options.connections);
    this.remote = remote;
    this.kind = state?.kind;
    this.beginnings = state && new Beginnings(beginningsFile(parts.folder), logId);
    this.starts = new StartPositions(parts.history, parts.control, dirname(parts.folder), this.beginnings);
    this.readers = state?.readers(settings, logId, (error) =>
      logger.warn({ err: error }, 'the store does not know how far readers on this machine are; tried again'),
    );
    this.local = this.tablesIn(async () => {
      this.makeFolder();
      const lastPosition = parts.control.position('written');
      const opened = await LmdbTables.open(parts.folder, { logId, lastPosition });
      return this.readers?.follow(opened) ?? opened;
    });
    this.handlerState = remote === undefined ? this.local : this.tablesIn(async () => remote);
    this.messageBox = new MessageBox(this.local, () => this.hasLocal());
    this.care = new InHand(this.local, (error) =>
      logger.warn({ err: error }, 'what is in hand could not be marked; it is executed all the same'),
    );
  }

  private tablesIn(open: () => Promise<HandlerStateStore>): StateTables {
    const { logger, options, waitTimeoutMs } = this.parts;
    const handlerState: StateTables = new StateTables(open, {
      ...options,
      waitTimeoutMs,
      onError: (error) =>
        logger.error({ err: error }, `keeping what handlers did failed${isFinal(error) ? '' : '; it is tried again'}`),
      onRefused: (entry, error) =>
        logger.error({ err: error, ...entry }, 'the store refuses an entry of the handlers, it was left out'),
      onBroken: (entry, error) =>
        logger.error({ err: error, ...entry }, 'an entry of the handlers cannot be understood, it was passed over'),
      onBehind: (error) => this.news.behind(handlerState, error),
      onRoom: () => this.news.room(),
    });
    return handlerState;
  }

  /** Whether anything has been kept on this machine yet: it is not opened to find nothing. */
  hasLocal(): boolean {
    return existsSync(dataFileOf(this.parts.folder));
  }

  /** The process has ended in the middle, the log at `lastPosition`: what was open is executed with care, but not these messages. */
  async recover(lastPosition: number, carriedOut: Pick<ReadonlySet<string>, 'has'>): Promise<void> {
    const prefix = keyOf(messagesOwner, '');
    const isDone = (key: string): boolean => key.startsWith(prefix) && carriedOut.has(key.slice(prefix.length));
    const inHand = await this.care.load(lastPosition, this.hasLocal(), isDone);
    const found = { count: inHand.length, suspects: inHand.slice(0, 20).map((key) => key.replace('\0', ': ')) };
    if (found.count > 0) this.parts.logger.warn(found, 'the process has ended while these were executed');
  }

  /** @throws DiskFull */
  makeFolder(): void {
    onDisk(this.parts.folder, (folder) => makePrivateFolder(folder));
  }

  /** Before a subscription begins. @throws DiskFull */
  prepare(): void {
    this.makeFolder();
    const { kind } = this;
    if (kind !== undefined) onDisk(this.parts.folder, (folder) => touchPrivate(elsewhereFile(folder, kind)));
  }

  /** An unavailable store is not waited for much longer. */
  lastCall(): void {
    this.handlerState.lastCall();
    this.local.lastCall();
  }

  /** Give back where it is all kept, once nothing more comes. Nothing is written behind it, whatever still goes on. */
  async close(steps: StopSteps): Promise<void> {
    this.beginnings?.close();
    await steps.take('what handlers keep', () => this.handlerState.close());
    if (this.local !== this.handlerState) await steps.take('what handlers keep here', () => this.local.close());
    await steps.take('what the store knows of readers', () => this.readers?.close());
  }

  /** What `close` waits for is not waited for any longer: nothing more is written from now on. */
  cut(): void {
    this.readers?.cut();
    for (const handlerState of [this.handlerState, this.local]) handlerState.cut();
  }
}

/** @throws DiskFull */
function onDisk(folder: string, make: (folder: string) => void): void {
  try {
    make(folder);
  } catch (error) {
    throw isDiskFull(error) ? diskFull(folder, folderBytes, error) : error;
  }
}
