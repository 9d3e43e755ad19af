// Imported before src: the date and the monotonic clock of this thread, as src finds them when it is loaded. A test moves
// them ahead of the machine's; other threads, and timers, go by the machine's.
const machineDate = Date.now;
const machineClock = performance.now.bind(performance);
let dateAheadMs = 0;
let clockAheadMs = 0;

Date.now = () => machineDate() + dateAheadMs;
performance.now = () => machineClock() + clockAheadMs;

/** From now on the date is so far ahead of the machine's; below 0: behind it. */
export function leapTo(aheadMs: number): void {
  dateAheadMs = aheadMs;
}

/** So much time passes. */
export function pass(ms: number): void {
  clockAheadMs += ms;
}
