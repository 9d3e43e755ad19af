// Time, of two kinds. A duration or a deadline is measured by the monotonic clock, which goes on whatever happens to the
// machine's date. The date (`Date.now()`, `new Date()`) is for what people and other systems read; test/clocks.test.ts
// holds the list of the places that may look at it.

/**
 * Milliseconds of the machine's monotonic clock: the same in all threads of a process. (`performance.now()` begins anew in
 * each thread, so a deadline in shared memory would mean something else to its reader.)
 */
export const monotonicMs = (): number => performance.now() + threadBegan;

const threadBegan = Number(process.hrtime.bigint()) / 1e6 - performance.now();
