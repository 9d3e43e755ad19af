// What the runtime tells its operator, and through what: the user's logger, or pino at `warn` on stderr.
//
// Invariant: a call of a resolved logger neither throws nor rejects. It is made inside turns, timers and catch blocks of ours,
// where an exception of the user's code would stop what has nothing to do with it.
import { createRequire } from 'node:module';
import { checkFunction, invalid } from './checks.ts';
import { printableJson } from './printable.ts';

/** What Trunkline logs through: a pino logger, or anything with these. */
export interface Logger {
  /** What only a developer of the runtime looks at. */
  debug(details: object, message: string): void;
  /** Starts, ends and changes of settings. */
  info(details: object, message: string): void;
  /** What goes on all the same, and an operator should look at. */
  warn(details: object, message: string): void;
  /** What has stopped, or has been set aside, until an operator acts. */
  error(details: object, message: string): void;
}

type LogLevel = keyof Logger;

// Loaded when there is something to say: every thread comes past here, and hardly one ever speaks.
const require = createRequire(import.meta.url);

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A stderr that takes nothing (a full pipe) loses lines beyond this; it does not hold up the event loop. */
const waitingBytesLimit = 1 << 20;
let stderr: Logger | undefined;

/** The logger of those who name none; made when it has something to say. */
function ofStderr(): Logger {
  if (stderr === undefined) {
    const { pino } = require('pino') as typeof import('pino');
    const destination = pino.destination({ dest: 2, sync: false, maxLength: waitingBytesLimit });
    destination.on('error', () => {}); // a disk that is full, a pipe without a reader: nothing else can report it
    stderr = pino({ name: 'trunkline', level: 'warn', hooks: { streamWrite: printableJson } }, destination);
  }
  return stderr;
}

/** @throws InvalidOptions */
export function resolveLogger(logger: Logger | false | undefined): Logger {
  if (logger === false) return silent;
  if (logger === undefined) return through((level, details, message) => ofStderr()[level](details, message));
  if (typeof logger !== 'object' || logger === null)
    invalid('logger', logger, 'must be a pino logger, or like one, or false');
  for (const level of ['debug', 'info', 'warn', 'error'] as const) checkFunction(`logger.${level}`, logger[level]);
  return through((level, details, message) => {
    const lost = (error: unknown): void => {
      ofStderr()[level](details, message);
      ofStderr().warn({ err: error }, 'the logger failed; its message is the one before');
    };
    try {
      const result: unknown = logger[level](details, message);
      if (result !== undefined) Promise.resolve(result).catch(harmless(lost));
    } catch (error) {
      lost(error);
    }
  });
}

/** What is caught where no logger is at hand: a defect of ours, or a user's callback that failed while it was reported. */
export const lastResort: (error: unknown) => void = harmless((error) =>
  ofStderr().error({ err: error }, 'an error that nothing was waiting for; the runtime goes on'),
);

function through(write: (level: LogLevel, details: object, message: string) => void): Logger {
  const of = (level: LogLevel) => harmless((details: object, message: string) => write(level, details, message));
  return { debug: of('debug'), info: of('info'), warn: of('warn'), error: of('error') };
}

/** The last link: what goes wrong here cannot be reported. */
function harmless<Args extends unknown[]>(work: (...args: Args) => void): (...args: Args) => void {
  return (...args) => {
    try {
      work(...args);
    } catch {}
  };
}
