// How a thread blocks: on some word of shared memory, by this function alone, so that a simulation can go on with another thread instead.
// Any thread; the host only while the process ends (exit-guard.ts).

/** Block this thread while the word has this value: until `Atomics.notify`, for `boundMs` at most. */
export function blockWhile(words: Int32Array, index: number, value: number, boundMs?: number): void {
  Atomics.wait(words, index, value, boundMs);
}
