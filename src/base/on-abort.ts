// The only place that listens to an AbortSignal. A signal that was aborted before the listener was added never calls it: where
// the listener comes after an await, that is a wait without end, or something that is never given back. So this looks first.
//
// A signal has one listener, however many wait with it: an EventTarget looks through all of its listeners for each one that is
// added, so with one signal for a whole service each wait would cost more than the one before.
import { clearTimeout, setTimeout } from './clock.ts';
import { guarded, unawaited } from './guarded.ts';

interface Listening {
  /** In the order in which they came. */
  readonly works: Set<() => void>;
  readonly listener: () => void;
}

/** The signals that something waits with. An entry goes with its last wait, or when its signal aborts. */
const listened = new WeakMap<AbortSignal, Listening>();

/** Calls `work` once: when the signal aborts, or now if it has. Returns what ends the listening. */
export function onAbort(signal: AbortSignal | undefined, work: () => unknown): () => void {
  if (signal === undefined) return () => {};
  const one = guarded(work);
  if (signal.aborted) {
    one();
    return () => {};
  }
  const { works, listener } = listened.get(signal) ?? listen(signal);
  works.add(one);
  return () => {
    if (!works.delete(one) || works.size > 0) return;
    signal.removeEventListener('abort', listener);
    listened.delete(signal);
  };
}

function listen(signal: AbortSignal): Listening {
  const works = new Set<() => void>();
  const listener = guarded(() => {
    listened.delete(signal);
    for (const work of works) {
      works.delete(work);
      work();
    }
  });
  const listening = { works, listener };
  listened.set(signal, listening);
  signal.addEventListener('abort', listener, { once: true });
  return listening;
}

/** Resolves after so many milliseconds with true, or with false as soon as the signal aborts. */
export function pauseUnless(signal: AbortSignal, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    let forget = (): void => {};
    const end = (isOver: boolean): void => {
      clearTimeout(timer);
      forget();
      resolve(isOver);
    };
    const timer = setTimeout(
      guarded(() => end(true)),
      ms,
    );
    forget = onAbort(signal, () => end(false));
  });
}

/** The promise, or the signal's reason as soon as it aborts; then `late` gets what the promise comes to afterwards. */
export async function orAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  late: (value: T) => unknown = () => {},
): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const forget = onAbort(signal, () => reject(signal!.reason));
  try {
    return await Promise.race([promise, aborted]);
  } catch (error) {
    unawaited(promise.then(late), () => {});
    throw error;
  } finally {
    forget();
  }
}
