// The only place that listens to an AbortSignal. A signal that was aborted before the listener was added never calls it: where
// the listener comes after an await, that is a wait without end, or something that is never given back. So this looks first.
import { guarded, unawaited } from './guarded.ts';

/** Calls `work` once: when the signal aborts, or now if it has. Returns what ends the listening. */
export function onAbort(signal: AbortSignal | undefined, work: () => unknown): () => void {
  if (signal === undefined) return () => {};
  const listener = guarded(work);
  if (signal.aborted) listener();
  else signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
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
