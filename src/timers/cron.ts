// When a schedule is due: croner's, which knows of time zones. Loaded when the first schedule is made. Host thread.
import { invalid } from '../base/checks.ts';

/** The moments at which a schedule is due. Milliseconds since 1970. */
export interface Slots {
  /** The first one behind a moment; undefined: there is none. */
  after(ms: number): number | undefined;
  /** The last one up to a moment. */
  upTo(ms: number): number | undefined;
}

/** @throws InvalidOptions */
export async function slotsOf(pattern: string, timeZone: string | undefined): Promise<Slots> {
  const { Cron } = await import('croner');
  const make = (): InstanceType<typeof Cron> =>
    new Cron(pattern, { paused: true, ...(timeZone !== undefined && { timezone: timeZone }) });
  let slots: Slots;
  try {
    const cron = make();
    const after = (ms: number): number | undefined => cron.nextRun(new Date(ms))?.getTime();
    slots = { after, upTo: (ms) => lastUpTo(ms, after, cron.previousRuns(1, new Date(ms))[0]?.getTime()) };
    if (slots.after(0) === undefined) invalid('cron', pattern, 'never comes');
  } catch (error) {
    if (timeZone !== undefined && !isTimeZone(timeZone))
      invalid('timeZone', timeZone, "must be a name of the tz database, as 'Europe/Berlin'");
    invalid('cron', pattern, `is no cron pattern that comes: ${(error as Error).message}`);
  }
  return slots;
}

/** What comes before a moment leaves out the moment itself. */
function lastUpTo(ms: number, after: Slots['after'], before: number | undefined): number | undefined {
  let last = before;
  for (let next = after(last ?? ms - 1); next !== undefined && next <= ms; next = after(next)) last = next;
  return last;
}

function isTimeZone(timeZone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone }) !== undefined;
  } catch {
    return false;
  }
}
