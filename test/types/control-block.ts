// A second writer of a shared word does not compile: for each thread, what it may write, and what it may not.
import { ControlBlock, ControlBlockWriter, ShardControlBlock, Signal } from '../../src/shared/control-block.ts';

const { memory } = new ControlBlock();
const log = new ControlBlockWriter('log', memory);
const sync = new ControlBlockWriter('sync', memory);
const flush = new ControlBlockWriter('flush', memory);
const host = new ControlBlockWriter('host', memory);
const shard = new ShardControlBlock(0, memory);

log.publish('written', 1);
log.setFlag(Signal.writeFailed, 1);
// @ts-expect-error: the sync thread's watermark
log.publish('synced', 1);
// @ts-expect-error: the sync thread's signal
log.setFlag(Signal.syncFailed, 1);

sync.publish('synced', 1);
// @ts-expect-error: the log thread's watermark
sync.publish('written', 1);
// @ts-expect-error: the log thread's signal
sync.setFlag(Signal.writeFailed, 1);

flush.publish('stored', 1);
// @ts-expect-error: the sync thread's watermark
flush.publish('synced', 1);
// @ts-expect-error: the host thread's signal
flush.setFlag(Signal.awaitsStored, 0);

host.publish('settled', 1);
host.setFlag(Signal.stopping, 1);
// @ts-expect-error: the flush thread's watermark
host.publish('stored', 1);
// @ts-expect-error: the log thread's signal
host.setFlag(Signal.full, 0);

shard.beat();
// @ts-expect-error: a shard has no watermark
shard.publish('written', 1);
// @ts-expect-error: a shard writes its own element, by a method of its own
shard.setFlag(Signal.firstShardBeat, 1);
// @ts-expect-error: an element of the shards
host.setFlag(Signal.firstShardActors, 1);

// @ts-expect-error: a word of several writers, which only its protocol writes
host.setFlag(Signal.logInbox, 1);
// @ts-expect-error: a notifier's word
log.setFlag(Signal.logNotifier, 1);
// @ts-expect-error: any number
host.setFlag(4, 1);
// @ts-expect-error: any number, read
host.flag(4);
// @ts-expect-error: a reader writes nothing
new ControlBlock(memory).publish('written', 1);
// @ts-expect-error: the raw words stay in the room
void host.signals;

// @ts-expect-error: one thread's writer in the place of another's
export const mixed: ControlBlockWriter<'log'> = sync;
// @ts-expect-error: a reader in the place of a writer
export const unarmed: ControlBlockWriter<'log'> = new ControlBlock(memory);
export const reader: ControlBlock = log;
