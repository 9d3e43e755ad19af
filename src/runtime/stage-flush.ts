// The flush thread: it carries the log on to the store, the stream and the user's sinks.
import { streamForThread } from '../adapters/kafka/settings.ts';
import { embeddedStore } from '../adapters/lmdb/store/description.ts';
import { TrunklineError } from '../base/errors.ts';
import { EarlierRefusals } from '../dispatch/earlier-refusals.ts';
import { type FlushEvents, FlushThread } from '../flush/host.ts';
import { declaredEvents } from '../model/catalogue.ts';
import { Signal, StopStage } from '../shared/control-block.ts';
import type { LocalDescription } from '../store/local.ts';
import { type RefusedEvent, staleCode } from '../store/store.ts';
import type { Given } from './given.ts';
import { noteServedTypes } from './served-types.ts';
import type { DirectoryStage } from './stage-directory.ts';
import type { HostStage } from './stage-host.ts';
import type { LogStage } from './stage-log.ts';

/** See `options.ts`: without these nothing becomes `stored`. */
const storeSinks: readonly string[] = ['store', 'memory'];

export interface FlushStage {
  readonly flushThread: FlushThread;
  /** The store in the data directory. */
  readonly local: LocalDescription;
  readonly earlierRefusals: EarlierRefusals;
  /** Events that sinks have passed over, by sink. */
  readonly setAside: ReadonlyMap<string, number>;
}

type Made = Given & DirectoryStage & HostStage & LogStage;

/** @throws StoreDamaged, StartTimedOut, what a sink throws at its start */
export async function startFlush(made: Made): Promise<FlushStage> {
  const { options, directory, control, log, shutdown, dispatch } = made;
  const local = embeddedStore(directory.storeFolder);
  const setAside = new Map<string, number>();
  const earlierRefusals = new EarlierRefusals(control, (refused) => dispatch.fence(refused));
  const flushThread = new FlushThread(
    {
      controlBlock: control.memory,
      logFolder: directory.logFolder,
      local,
      dataDir: directory.path,
      moduleMs: options.starts.timeoutMs,
      logId: log.logId,
      lost: log.lost,
      hasBegun: directory.origin !== undefined,
      mapBytes: made.mapBytes,
      sinks: options.sinks,
      moduleRoots: options.moduleRoots,
      store: options.store?.describe(),
      stream: options.stream && { ...options.stream, options: streamForThread(options.stream.options) },
      events: options.stream || options.sinks.length > 0 ? declaredEvents(options.aggregates) : [],
    },
    made.flushWake,
    eventsOf(made, setAside, earlierRefusals),
  );
  shutdown.add('flushThread', () => {
    control.setFlag(Signal.stopping, StopStage.flush);
    return flushThread.ended(control, shutdown.abandoned).catch(() => {}); // it has been reported
  });
  await flushThread.started;
  directory.remember({ logId: log.logId, holds: options.store ? 'memory' : 'events' });
  noteServedTypes(directory.path, options.aggregates, options.logger);
  return { flushThread, local, earlierRefusals, setAside };
}

function eventsOf(made: Made, setAside: Map<string, number>, earlier: EarlierRefusals): FlushEvents {
  const { options, dispatch, failure } = made;
  const { logger, stream } = options;
  const { progress } = dispatch;
  return {
    wake: () => dispatch.turn(),
    warning: (message, details) => logger.warn(details, message),
    sinkError: (name, error, isFinal) => {
      logger.error({ err: error, sink: name }, `a sink ${isFinal ? 'has stopped' : 'failed; it is tried again'}`);
      if (dispatch.inFlight.closed !== undefined) return; // at the end every error is the last
      if (!isFinal) {
        if (name === 'store') progress.troubled('stored', error);
        if (name === stream?.name) progress.troubled('published', error);
      } else if (name === stream?.name) progress.failLevel('published', error);
      // Nothing becomes `stored` any more, and shards may not load: waiters learn the error.
      else if (storeSinks.includes(name)) failure.fail(error);
    },
    sinkReport: (name, error) => logger.warn({ err: error, sink: name }, error.message),
    setAside: (name, count, errors) => {
      setAside.set(name, (setAside.get(name) ?? 0) + count);
      for (const error of errors) logger.error({ err: error, sink: name }, error.message);
      if (count > errors.length) logger.error({ sink: name, count }, 'so many events were set aside in all');
    },
    quarantined: (refused, isNews) => (isNews ? refusedNow(made, refused) : earlier.add(refused)),
    failed: (cause) => failure.fail(new TrunklineError('ThreadFailed', { thread: 'flush', cause })),
  };
}

function refusedNow({ options, dispatch, news }: Made, refused: readonly RefusedEvent[]): void {
  const { logger } = options;
  const events = refused.filter(({ code }) => code !== staleCode);
  if (events.length > 0) {
    logger.error({ refused: events }, 'the store has not taken these events; they are quarantined');
  }
  if (events.length < refused.length) {
    const stale = refused.filter(({ code }) => code === staleCode);
    logger.warn({ stale }, 'another has written these aggregates: they are loaded again');
  }
  news.emit('refused', refused);
  dispatch.fence(refused);
  dispatch.refusals.add(refused, refused.length - events.length);
  dispatch.turn(); // who waits for `stored` has waited for this news
}
