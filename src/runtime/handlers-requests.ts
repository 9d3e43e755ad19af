// The owner's side of what other processes ask of its handlers: it looks into the folder of requests, and answers. See
// request-files.ts; the asker's side: ask-owner.ts.
//
// Invariant: a request is carried out at most once: removing its file is what takes it.

import { join } from 'node:path';
import { clearInterval, dateMs, pause, setInterval } from '../base/clock.ts';
import { type FSWatcher, readdir, stat, unlink, watch } from '../base/disk.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { readTextLater } from '../base/foreign-file.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import { appendPrivate, makePrivateFolderLater } from '../base/private-file.ts';
import { toWire } from '../base/wire-error.ts';
import type { ReplayProgress } from '../subscriptions/replay.ts';
import { type Answer, type HandlerRequest, REQUEST_BYTES_LIMIT, requestIn, requestsFolder } from './request-files.ts';

const lookEveryMs = 1000; // watching a folder is a hint, no more
const takenLimit = 16; // carried out at a time; the rest waits in the folder
const answerTries = 60; // one a look, while the disk or the process has no room for the answer
const leftAfterMs = 10 * 60_000; // what an asker that was killed leaves behind

/**
 * The owner's side. Nothing that the file system does ends more than the look that met it: a removed folder is made again,
 * and what cannot be read now (no descriptor is free, the disk is full) is read at the next look.
 */
export class Requests {
  private readonly folder: string;
  private readonly carryOut: (
    request: HandlerRequest,
    onProgress: (progress: ReplayProgress) => void,
    signal: AbortSignal,
  ) => Promise<unknown>;
  private readonly onError: (error: unknown) => void;
  private readonly everyMs: number;
  /** Ids of what is being carried out, and of what is to be answered; at most `takenLimit`. */
  private readonly taken = new Map<string, Promise<void>>();
  private watcher: FSWatcher | undefined;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  private isToLookAgain = false;
  private isClosed = false;
  private readonly closing = new AbortController();
  private hasEnded = false;
  /** Settles when the lines that have been begun are written. */
  private writing: Promise<void> = Promise.resolve();
  private hasFailed = false;
  /** A folder that was there is made again; a data directory that is gone is not. */
  private wasThere = false;

  /**
   * `carryOut`: its signal aborts when this closes. `onError`: once for each time that requests cannot be read, and not
   * after `close`.
   */
  constructor(
    handlersFolder: string,
    carryOut: Requests['carryOut'],
    onError: (error: unknown) => void,
    everyMs: number = lookEveryMs,
  ) {
    this.folder = requestsFolder(handlersFolder);
    this.everyMs = everyMs;
    this.carryOut = carryOut;
    this.onError = (error) => {
      if (!this.isClosed) onError(error);
    };
  }

  start(): void {
    if (this.timer !== undefined || this.isClosed) return;
    const look = guarded(() => this.look(), this.onError);
    this.timer = setInterval(look, this.everyMs).unref();
    look();
  }

  /**
   * What is being carried out is aborted and answered. After it nothing is looked at or created in the folder, and no error
   * is reported: the folder may be removed.
   */
  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.timer);
    this.unwatch();
    this.closing.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    await this.looking;
    await Promise.allSettled(this.taken.values());
  }

  /** The same for what `close` has waited for in vain: its answer is not written any more. */
  async end(): Promise<void> {
    this.hasEnded = true;
    await this.writing;
  }

  /** One at a time; what comes meanwhile is seen by another look. */
  private look(): void {
    this.isToLookAgain = this.looking !== undefined;
    if (this.isClosed) return;
    this.looking ??= this.lookOnce().then((failure) => {
      if (failure !== undefined && !this.hasFailed) this.onError(failure);
      this.hasFailed = failure !== undefined;
      this.looking = undefined;
      if (this.isToLookAgain && failure === undefined) this.look();
    });
    unawaited(this.looking, this.onError);
  }

  /** What went wrong first, if something did. A file that cannot be read keeps no other one waiting. */
  private async lookOnce(): Promise<unknown> {
    let failure: unknown;
    const attempt = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        failure ??= error;
      }
    };
    await attempt(async () => {
      this.watch();
      for (const name of await this.names()) {
        const [id, end] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.') + 1)];
        if (this.isClosed) return; // what is not taken waits for the next owner
        if (this.taken.has(id)) continue;
        if (end !== 'json' && end !== 'answer' && end !== 'new') continue;
        await attempt(async () => {
          if (!(await this.isLeft(name)) && end === 'json') await this.take(id);
        });
      }
    });
    return failure;
  }

  private watch(): void {
    try {
      this.watcher ??= watch(
        this.folder,
        { persistent: false },
        guarded(() => this.look(), this.onError),
      ).on('error', () => this.unwatch());
    } catch {} // the timer looks, too
  }

  private unwatch(): void {
    this.watcher?.close();
    this.watcher = undefined;
  }

  private async names(): Promise<string[]> {
    try {
      const names = await readdir(this.folder);
      this.wasThere = true;
      return names;
    } catch (error) {
      if (!isMissing(error)) throw error;
      if (this.isClosed) return [];
      this.unwatch(); // it watches the folder that is gone
      await makePrivateFolderLater(this.folder, !this.wasThere);
      this.wasThere = true;
      return [];
    }
  }

  /** Removing the file is what takes the request: of two looks, or two owners, one does. */
  private async take(id: string): Promise<void> {
    if (this.taken.size >= takenLimit) return;
    const file = join(this.folder, `${id}.json`);
    let text: string | undefined;
    let refusal: unknown;
    try {
      text = await readTextLater(file, REQUEST_BYTES_LIMIT).catch((error: unknown) => {
        if (!isError(error, 'FileRefused')) throw error;
        refusal = error; // it is taken, and answered with that
        return '';
      });
      if (text === undefined || this.isClosed) return; // its asker has taken it back, or the next owner takes it
      await unlink(file);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    const answered = this.answer(id, text, refusal).finally(() => {
      this.taken.delete(id);
      if (this.taken.size === takenLimit - 1) this.look();
    });
    this.taken.set(id, answered);
    unawaited(answered, this.onError);
  }

  private append(file: string, answer: Answer): Promise<void> {
    if (this.hasEnded) return Promise.resolve();
    // A full disk cuts a line short: the next one begins again.
    const written = appendPrivate(file, `\n${JSON.stringify(answer)}\n`);
    this.writing = Promise.allSettled([this.writing, written]).then(() => {});
    return written;
  }

  private async answer(id: string, text: string, refusal: unknown): Promise<void> {
    const file = join(this.folder, `${id}.answer`);
    const say = (answer: Answer): Promise<void> => this.append(file, answer);
    let saying: Promise<void> = Promise.resolve();
    const onProgress = (progress: ReplayProgress): void => {
      // A line of progress that is lost costs nothing; lines keep their order.
      saying = saying.then(() => say({ progress })).catch(() => {});
    };
    // The asker waits for as long as it hears of progress.
    const beat = setInterval(
      guarded(() => {
        saying = saying.then(() => say({ working: true })).catch(() => {});
      }),
      this.everyMs,
    ).unref();
    let last: Answer;
    try {
      if (refusal !== undefined) throw refusal;
      this.closing.signal.throwIfAborted();
      last = { result: await this.carryOut(requestIn(text), onProgress, this.closing.signal) };
    } catch (error) {
      last = { error: toWire(error, { aggregateType: 'handlers', command: 'request' }) };
    } finally {
      clearInterval(beat);
    }
    await saying;
    for (let tries = 1; ; tries++) {
      try {
        return await say(last);
      } catch (error) {
        if (tries >= answerTries || this.isClosed) throw error;
        if (isMissing(error)) await makePrivateFolderLater(this.folder, false).catch(() => {});
        await pause(this.everyMs, undefined, { ref: false });
      }
    }
  }

  /** Whether it is one of an asker that was killed; then it is removed, and never carried out. */
  private async isLeft(name: string): Promise<boolean> {
    const file = join(this.folder, name);
    try {
      if (dateMs() - (await stat(file)).mtimeMs <= leftAfterMs) return false;
      await unlink(file);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    return true;
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
