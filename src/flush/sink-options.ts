// What a user says of sinks: their own, and the stream. Host thread.
import { checkCrosses, invalid, isMadeBy, nameFault } from '../base/checks.ts';
import { Hidden, revealed } from '../base/hidden.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { checkModule } from '../base/user-module.ts';

/** A user's own sink: a module whose `createSink(options)` returns a {@link import('../log/sink.ts').Sink}. */
export interface SinkOptions {
  /** Name of its cursor; unique, 1 to 100 bytes. */
  name: string;
  /** The module, by URL or absolute path; the flush thread imports it. */
  module: string;
  /** Passed to `createSink`; must survive structured cloning. */
  options?: unknown;
}

/** A stream, as `kafka()` describes it: a sink whose checkpoint is the level `published`. */
export interface StreamOptions extends SinkOptions {
  /** Bounds of a batch: frames, bytes, and at most one batch in so many milliseconds unless a caller waits. */
  batch?: { count: number; bytes: number; delayMs: number };
  /** Report `StreamBehind` when more positions wait. */
  backlogLimit?: number | undefined;
}

const sinkFields = fieldsOf<SinkOptions>({ name: true, module: true, options: true });
const streamFields = fieldsOf<StreamOptions>({
  name: true,
  module: true,
  options: true,
  batch: true,
  backlogLimit: true,
});

/** @throws InvalidOptions */
export function checkSinks(
  stream: StreamOptions | undefined,
  sinks: readonly SinkOptions[] | undefined,
  moduleRoots: readonly string[] | undefined,
): void {
  if (sinks !== undefined && !Array.isArray(sinks)) invalid('sinks', sinks, 'must be an array');
  if (!stream && stream !== undefined && stream !== null) invalid('stream', stream, 'must be made by kafka()');
  const sinkNames = new Set<string>(['store', 'memory']);
  for (const sink of [...(stream ? [stream] : []), ...(sinks ?? [])]) {
    checkFields('sinks', sink, sink === stream ? streamFields : sinkFields);
    const fault = nameFault(sink.name, 100);
    if (fault !== undefined) invalid('sinks', sink.name, `name ${fault}`);
    checkModule(`sinks.${sink.name}.module`, sink.module, moduleRoots);
    if (sinkNames.has(sink.name)) invalid('sinks', sink.name, 'two cursors have this name');
    // What kafka() has made it has checked; its secrets may be functions, which stay here.
    const isChecked = sink === stream && isMadeBy(Hidden, sink.options);
    if (!isChecked) checkCrosses(`sinks.${sink.name}.options`, revealed(sink.options));
    sinkNames.add(sink.name);
  }
}
