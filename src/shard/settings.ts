// What every shard thread is started with: the options that concern it, and where things are. Made in the host thread.

import type { AnyAggregate } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import type { ShardSettings } from './shard-start.ts';

/** What shards take of the runtime's options. */
export type ShardOptions = Pick<
  ShardSettings,
  | 'context'
  | 'moduleRoots'
  | 'actorLimit'
  | 'actorIdleMs'
  | 'mailboxLimit'
  | 'idempotencyTtlMs'
  | 'askDeadlineMs'
  | 'shards'
  | 'store'
> & {
  readonly aggregates: readonly AnyAggregate[];
  readonly flush: { readonly ringBytes: number };
  readonly starts: { readonly timeoutMs: number };
};

export function shardSettings(
  options: ShardOptions,
  common: Pick<ShardSettings, 'local' | 'logFolder' | 'controlBlock' | 'logId' | 'mapBytes'>,
): ShardSettings {
  const { ringBytes } = options.flush;
  const { shards, context, moduleRoots, actorLimit, actorIdleMs, mailboxLimit, idempotencyTtlMs, askDeadlineMs } =
    options;
  return {
    ...common,
    types: options.aggregates.map((one) => ({
      name: one.name,
      storedType: storedTypeOf(one),
      module: one.module,
      commands: Object.keys(one.commands),
    })),
    context,
    moduleRoots,
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
