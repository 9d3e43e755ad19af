// A sink that a user's module makes. The module's code has a bound: what awaits without end is `StartTimedOut`; what
// holds the thread is found by its silence, from outside (`host.ts`). Flush thread.
import { describeError, TrunklineError } from '../base/errors.ts';
import { importUserModule } from '../base/user-module.ts';
import { within } from '../base/wait.ts';
import type { Sink, SinkInfo, SinkModule } from '../log/sink.ts';
import type { SinkOptions } from './sink-options.ts';

/** @throws StartTimedOut, InvalidOptions, what it throws of ours */
export async function makeUserSink(
  { name, module, options }: SinkOptions,
  info: SinkInfo,
  timeoutMs: number,
): Promise<Sink> {
  const invalid = (reason: string, cause?: unknown): TrunklineError =>
    new TrunklineError('InvalidOptions', { option: `sinks.${name}.module`, reason }, { cause });
  const make = async (): Promise<unknown> => {
    const { createSink } = (await importUserModule(module)) as Partial<SinkModule>;
    if (typeof createSink !== 'function') throw invalid('exports no function createSink');
    return createSink(options, info);
  };
  const what = `sink '${name}'`;
  const trouble = (): TrunklineError => new TrunklineError('StartTimedOut', { what, module, timeoutMs });
  let made: unknown;
  try {
    made = await within(make(), { what, timeoutMs, trouble });
  } catch (error) {
    throw error instanceof TrunklineError
      ? error
      : invalid(`createSink failed: ${describeError(error).message}`, error);
  }
  const sink = made as Partial<Sink> | undefined;
  if (typeof sink?.open === 'function' && typeof sink.write === 'function' && typeof sink.close === 'function') {
    return sink as Sink;
  }
  throw invalid('createSink must return an object with open, write and close');
}
