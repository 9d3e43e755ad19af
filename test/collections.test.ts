// Whatever grows has an owner who deletes at least as fast as it is filled: each collection that outlives a call, with who
// takes out of it what was put in. A new one is added here on purpose, or not at all. The rates are tried by the fault
// family `bounds`.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

const owners: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'shard/asks.ts': { open: 'answer or deadline, whichever is first' },
  'shard/asynchronous.ts': { bySlot: 'the reply; maxInFlight' },
  'shard/idle-stages.ts': { idle: 'at most 256' },
  'shard/log-gate.ts': { held: 'release(), once the log has room; maxInFlight' },
  'shard/mailbox.ts': { waiting: 'take(); mailboxLimit' },
  'shard/pool.ts': { running: 'its thread has ended; one for each shard' },
  'shard/outcome-cache.ts': {
    byKey: 'forget(), once the store has them; Room holds further ones back',
    queue: 'as byKey',
  },
  'shard/shard.ts': { waiting: 'the command begins; mailboxLimit' },
  'shard/snapshots.ts': { unfaithful: 'one for each aggregate type' },
  'shard/stored-horizon.ts': { marks: 'the store has come there; at most 1,000' },
  'shard/tail-index.ts': { positions: 'dropped whole once the store has caught up', outcomes: 'as positions' },
  'subscriptions/worker-pool.ts': {
    threads: 'a failed call has ended its own; as many as calls run at a time',
    free: 'a call takes it; as threads',
  },
  'bus/bus.ts': { entries: "off(): the user's own", batches: 'every turn' },
  'dispatch/unconfirmed.ts': { queue: 'the store has come there; from a limit on, lanes wait' },
  'dispatch/in-flight.ts': { channels: 'one for each shard', others: 'publisher and relay' },
  'dispatch/intake.ts': { resolved: 'all of the last run has been taken' },
  'dispatch/lanes.ts': { lanes: 'nothing of the lane is left' },
  'dispatch/lane.ts': { waiting: 'leave()' },
  'dispatch/timer-feed.ts': { gathered: 'taken once timers of the last run are read' },
  'timers/due-heap.ts': { heap: 'shift(); keepFirst() beyond a limit' },
  'timers/keeping.ts': { changes: 'a second later, or at many, they go into the tables' },
  'timers/schedules.ts': { running: 'stop()', messages: 'one slot' },
  'timers/stale.ts': {
    noted: 'forget(): the tables have the change, a second later',
    forgotten: 'the reading of the tables has ended',
  },
  'timers/timers.ts': {
    current: 'end(), and kept() of those that are due later than the line reaches',
    delivered: 'ended(); as many as messages have room',
    behind: 'ended() of the one before it',
  },
  'dispatch/holds.ts': {
    holds: 'the message is done or kept in the box; what is not done is in the log or there, and users wait for both',
  },
  'dispatch/fences.ts': { latest: 'the oldest, beyond a limit', open: 'the shard has answered' },
  'dispatch/shard-channel.ts': { overflow: 'written as soon as there is room; maxInFlight' },
  'dispatch/turns.ts': { heard: 'every turn' },
  'dispatch/refusals.ts': { byPosition: 'at most 65,536' },
  'dispatch/shards.ts': {
    ringKeys: 'one for each shard',
    channels: 'one for each shard',
    starts: 'one for each shard',
    restarts: 'the restart has ended',
    lives: 'one for each shard',
  },
  'dispatch/slots.ts': { items: 'reused; maxInFlight', free: 'as items' },
  'dispatch/earlier-refusals.ts': { waiting: 'taken at the start, where it ends' },
  'rehearsal/live/aggregates.ts': { known: 'the one used longest ago; at most 10,000' },
  'rehearsal/live/candidate.ts': { asked: 'ends with its command' },
  'rehearsal/live/recent-errors.ts': { recent: 'the oldest, beyond 100' },
  'rehearsal/live/tap.ts': {
    questions: 'its command has ended; the oldest, beyond 1,000',
    batch: 'every turn',
    waiting: 'judged; at most 4,096 and 32 MiB',
  },
  'schemas/subset.ts': {
    running: 'the comparison ends',
    numbers: 'ends with its two documents; steps are counted',
    ended: 'as numbers',
  },
  'schemas/document.ts': { known: 'one for each node of the document, with which it ends' },
  'adapters/lmdb/store/block-cache.ts': { blocks: 'emptied as a whole when its half is full; bounded by bytes' },
  'catalogue/keys.ts': { byPlace: 'ends with its catalogue', taken: 'the same' },
  'catalogue/asyncapi.ts': { channels: 'ends with its document', messages: 'the same', schemas: 'the same' },
  'catalogue/markdown.ts': { made: 'ends with its folder', topics: 'the same' },
  'rehearsal/run.ts': { differences: 'ends with its rehearsal; `limit`' },
  'runtime/shutdown.ts': { givenUp: 'one', closers: 'a few for each stage of the start' },
  'entity/aggregate-root.ts': { uncommitted: "the entity's own: markEventsAsCommitted()" },
  'entity/entity-turns.ts': {
    queues: 'release(), fail(); as many as claims name',
    claims: 'release(), fail(); maxInFlight',
    due: 'release() runs all of them',
  },
  'entity/heads.ts': {
    recent: 'forget(), once the store has them; hasRoom() holds further ones back',
    learned: 'at most 10,000',
  },
  'entity/publish-ring.ts': { waiting: 'flushWaiting(); maxInFlight' },
  'entity/transactions.ts': { taken: 'weak' },
  'entity/unit-of-work.ts': {
    entities: 'goes with the unit',
    beforeHandlers: 'as entities',
    afterHandlers: 'as entities',
  },
  'flush/batch.ts': { refused: 'every batch' },
  'base/foreign-file.ts': { pieces: 'one call; its limit of bytes' },
  'subscriptions/batch-collector.ts': { gathered: 'next(); the window' },
  'handler-state/careful-line.ts': { waiting: 'its turn comes; the window, and messages that were open at the start' },
  'subscriptions/condition.ts': { waiting: 'it has changed; requests of users, and closing' },
  'subscriptions/deadlines.ts': { starting: 'begun or ended; concurrency', running: 'end or time-out; concurrency' },
  'handler-state/effects.ts': { seen: 'goes with the attempt', changes: 'as seen' },
  'subscriptions/feed.ts': { live: 'leave(); one for each subscription', routes: 'as live', rest: 'as live' },
  'subscriptions/aggregate-lanes.ts': { waiting: 'drained; the window' },
  'handler-state/in-hand.ts': { entries: 'executed, or an end in order', left: 'one for each subscription' },
  'projections/local-projection.ts': { memory: "the projection's rows: what it shows" },
  'dead-letters/message-box.ts': {
    counts: 'the lane has no letter; deadLetterLimit',
    waiting: 'release(); users wait, once it is as much as the log may hold',
    requests: 'endRequeue(), at the latest once the lane has no letter',
  },
  'base/refusable-call.ts': { open: 'the call has ended, or the await is refused' },
  'base/running.ts': { all: 'end(): the attempt, effect or commit has ended' },
  'handler-state/once.ts': { underWay: 'the effect has ended' },
  'handler-state/overlay.ts': {
    staged: 'the next commit; stagedChangesLimit',
    committing: 'the commit has ended',
    readings: 'the reading has ended',
  },
  'subscriptions/overdue.ts': { running: 'the late call has ended' },
  'dead-letters/parked-sequences.ts': { sequences: 'handled or discarded; deadLetterLimit' },
  'adapters/postgres/handlers/transactions.ts': {
    open: 'the transaction has ended; as many as there are connections',
    unreset: 'weak',
  },
  'adapters/postgres/handlers/known-rows.ts': { rows: 'the oldest, beyond a limit', names: 'as rows' },
  'adapters/postgres/handlers/entries.ts': { lows: 'the checkpoint is removed; one for each handler' },
  'adapters/postgres/handlers/log-readers.ts': { positions: 'the checkpoint is removed; one for each local reader' },
  'runtime/handlers-requests.ts': { taken: 'answered; at most 16' },
  'dead-letters/requeues.ts': { underWay: 'the requeue has ended; deadLetterLimit' },
  'subscriptions/running-subscriptions.ts': {
    all: 'it closes; the program names them',
    internal: 'it closes; one for each projection',
    forgetting: 'the forgetting has ended; one for each call',
  },
  'runtime/handlers-stage.ts': { projections: 'it closes; the program names them' },
  'handler-state/commit-loop.ts': { dirty: 'every commit', waiters: 'every commit' },
  'handler-state/recent-changes.ts': {
    changedAt: 'no reading goes back so far any more',
    readings: 'the attempt has ended',
  },
  'subscriptions/tracker.ts': { line: 'the low-water mark; the window' },
  'shared/exit-guard.ts': { gates: 'close()' },
  'log/chunk-chain.ts': { byNumber: 'as many as log.json has: no more than chunks in the log' },
  'log/retention.ts': { marks: 'retainMs; a hundred' },
  'log/thread.ts': { rings: 'detach' },
  'log/threads.ts': { detached: 'detached' },
  'adapters/postgres/outbox/relay-outbox.ts': {
    raisedTypes: 'replaced as a whole; at most 100,000',
    unsettled: 'no transaction from before is open; one for each aggregate type',
  },
  'outbox/unsettled-events.ts': { keys: 'stored; rowsUnderWayLimit, and leftByEarlierRunMost', groups: 'as keys' },
  'outbox/needed-bytes.ts': { groups: 'those whose readers have passed go; half of admitBytes' },
  'base/paged-iterator.ts': { page: 'the next page; forgotten when the iteration ends' },
  'base/position-queue.ts': { heap: 'reached, aborted, or timed out' },
  'base/secrets.ts': { functions: 'weak', places: 'weak' },
  'base/stop-steps.ts': { failures: 'one for each step of one end' },
  'store/history.ts': { waiting: 'every 20 ms' },
  'adapters/lmdb/store/heads.ts': { byType: 'trim(), after every batch', changed: 'every batch' },
  'adapters/lmdb/store/postings.ts': { blocks: 'put, when sealed', names: 'one for each type' },
  'adapters/lmdb/store/scan.ts': { known: 'goes with the scan' },
  'adapters/lmdb/store/writer.ts': { snapshots: 'every batch' },
  'adapters/postgres/outbox/append.ts': { isNamed: 'weak' },
  'adapters/postgres/read/held-loads.ts': {
    loads: 'its lock is there, or loadTimeoutMs over; as many as commands wait',
  },
  'adapters/postgres/rows/unreadable.ts': { told: 'all, beyond a limit' },
  'handler-state/broken-records.ts': { reported: 'all, beyond a limit' },
  'adapters/postgres/schema/recent-ownership.ts': { goodAt: 'the oldest, beyond a limit' },
  'adapters/postgres/partitions/partitions.ts': {
    months: 'one for each month',
    done: 'one for each month',
    again: 'as done',
  },
  'adapters/postgres/flush/flush-transaction.ts': { stale: 'told after the commit; one batch' },
  'adapters/kafka/integrations.ts': { byType: 'one for each declaration' },
  'adapters/kafka/packer.ts': {
    full: 'goes with the batch',
    current: 'as full',
    places: 'as full',
    byKey: 'as full',
  },
  'adapters/kafka/topic-claims.ts': { claims: 'one for each declared topic' },
  'adapters/kafka/decisions.ts': { undecided: 'goes with the read' },
  'adapters/kafka/sink.ts': { setAside: 'one transaction; told and let go at its end' },
  'adapters/kafka/schemas.ts': {
    idsOfNames: 'one for each event type that is given',
    idsOfVersions: 'one for each version',
  },
  'adapters/kafka/versions.ts': { forms: 'one for each declaration' },
  'adapters/kafka/topics.ts': {
    states: 'one for each topic that exists; forgotten after trouble',
    told: 'one for each drift of a topic; emptied at keptMost',
    created: 'topics.createLimit',
    taken: 'one for each topic',
  },
};

const field =
  /^ {2}(?:(?:private|protected|readonly|static) )*#?(\w+)(?:: [^=\n]+)? = (?:new (?:Map|Set|WeakMap|WeakSet)\b|\[\];)|^(?:const|let) (\w+)(?:: [^=\n]+)? = new (?:Map|Set)\b[^(]*\(\);/gm;

function* filesOf(folder: string, prefix = ''): Iterable<[string, string]> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = prefix + entry.name;
    if (entry.isDirectory()) yield* filesOf(join(folder, entry.name), `${path}/`);
    else if (entry.name.endsWith('.ts')) yield [path, readFileSync(join(folder, entry.name), 'utf8')];
  }
}

test('each collection that outlives a call has somebody who takes out of it', () => {
  const ownerless: string[] = [];
  for (const [path, text] of filesOf(src)) {
    if (path.startsWith('cli/') || path.startsWith('testing/')) continue;
    for (const match of text.matchAll(field)) {
      const name = match[1] ?? match[2]!;
      if (owners[path]?.[name] === undefined) ownerless.push(`${path}: ${name}`);
    }
  }
  expect(ownerless).toEqual([]);
});
