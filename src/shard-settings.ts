// What every shard thread is started with: the options that concern it, and where things are.
import type { ShardSettings } from './actor/pool.ts';
import type { DataDirectory } from './directory.ts';
import type { ResolvedOptions } from './options.ts';
import { embeddedStore } from './store/lmdb/description.ts';

export function shardSettings(
  options: ResolvedOptions,
  { storeFolder, logFolder }: DataDirectory,
  log: { levels: SharedArrayBuffer; logId: string; mapBytes: number },
): ShardSettings {
  const { ringBytes } = options.flush;
  const { shards, context, moduleRoots, actorLimit, actorIdleMs, mailboxLimit, idempotencyTtlMs, askDeadlineMs } =
    options;
  return {
    ...log,
    types: options.aggregates.map(({ name, module, commands }) => ({ name, module, commands: Object.keys(commands) })),
    context,
    moduleRoots,
    local: embeddedStore(storeFolder),
    logFolder,
    ringBytes,
    moduleMs: options.starts.timeoutMs,
    groupLimit: ringBytes / 2,
    actorLimit,
    actorIdleMs,
    mailboxLimit,
    idempotencyTtlMs,
    askDeadlineMs,
    shards,
    store: options.store,
  };
}
