// Whatever grows has an owner who deletes at least as fast as it is filled: each collection that outlives a call, with who
// takes out of it what was put in. A new one is added here on purpose, or not at all. The rates are tried by the fault
// family `bounds`.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const src = fileURLToPath(new URL('../src', import.meta.url));

const owners: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'actor/asks.ts': { open: 'answer or deadline, whichever is first' },
  'actor/asynchronous.ts': { bySlot: 'the reply; maxInFlight' },
  'actor/idle-stages.ts': { idle: 'at most 256' },
  'actor/log-gate.ts': { held: 'release(), once the log has room; maxInFlight' },
  'actor/mailbox.ts': { waiting: 'take(); mailboxLimit' },
  'actor/pool.ts': { running: 'its thread has ended; one for each shard' },
  'actor/remembered.ts': {
    byKey: 'forget(), once the store has them; Room holds further ones back',
    queue: 'as byKey',
  },
  'actor/shard.ts': { waiting: 'the command begins; mailboxLimit' },
  'actor/snapshots.ts': { unfaithful: 'one for each aggregate type' },
  'actor/stored-horizon.ts': { marks: 'the store has come there; at most 1,000' },
  'actor/tail-index.ts': { positions: 'dropped whole once the store has caught up', outcomes: 'as positions' },
  'bus/bus.ts': { entries: "off(): the user's own", batches: 'every turn' },
  'caller/unconfirmed.ts': { queue: 'the store has come there; from a limit on, lanes wait' },
  'caller/in-flight.ts': { lines: 'one for each shard', others: 'publisher and relay' },
  'caller/intake.ts': { resolved: 'all of the last run has been taken' },
  'caller/lanes.ts': { lanes: 'nothing of the lane is left' },
  'caller/lane.ts': { waiting: 'leave()' },
  'caller/holds.ts': {
    holds: 'the message is done or kept in the box; what is not done is in the log or there, and users wait for both',
  },
  'caller/fences.ts': { latest: 'the oldest, beyond a limit', open: 'the shard has answered' },
  'caller/line.ts': { overflow: 'written as soon as there is room; maxInFlight' },
  'caller/turns.ts': { heard: 'every turn' },
  'caller/refusals.ts': { byPosition: 'at most 65,536' },
  'caller/shards.ts': {
    ringKeys: 'one for each shard',
    lines: 'one for each shard',
    starts: 'one for each shard',
    restarts: 'the restart has ended',
    lives: 'one for each shard',
  },
  'caller/slots.ts': { items: 'reused; maxInFlight', free: 'as items' },
  'ending.ts': { givenUp: 'one' },
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
  'entity/publisher.ts': { waiting: 'flushWaiting(); maxInFlight' },
  'entity/transactions.ts': { taken: 'weak' },
  'entity/unit-of-work.ts': {
    entities: 'goes with the unit',
    beforeHandlers: 'as entities',
    afterHandlers: 'as entities',
  },
  'flush/batch.ts': { refused: 'every batch' },
  'foreign-file.ts': { pieces: 'one call; its limit of bytes' },
  'handlers/attempts.ts': { running: 'end or time-out; concurrency' },
  'handlers/batches.ts': { gathered: 'next(); the window' },
  'handlers/careful-line.ts': { waiting: 'its turn comes; the window, and messages that were open at the start' },
  'handlers/condition.ts': { waiting: 'it has changed; requests of users, and closing' },
  'handlers/deadlines.ts': { starting: 'begun or ended; concurrency', running: 'end or time-out; concurrency' },
  'handlers/effects.ts': { seen: 'goes with the attempt', changes: 'as seen' },
  'handlers/feed.ts': { live: 'leave(); one for each subscription', routes: 'as live', rest: 'as live' },
  'handlers/handling.ts': { lanes: 'drained; the window' },
  'handlers/in-hand.ts': { entries: 'executed, or an end in order', left: 'one for each subscription' },
  'handlers/local-projection.ts': { memory: "the projection's rows: what it shows" },
  'handlers/message-box.ts': {
    counts: 'the lane has no letter; deadLetterLimit',
    waiting: 'release(); users wait, once it is as much as the log may hold',
    requests: 'endRequeue(), at the latest once the lane has no letter',
  },
  'running.ts': { all: 'end(): the attempt, effect or commit has ended' },
  'handlers/once.ts': { underWay: 'the effect has ended' },
  'handlers/overlay.ts': {
    staged: 'the next commit; stagedChangesLimit',
    committing: 'the commit has ended',
    readings: 'the reading has ended',
  },
  'handlers/overdue.ts': { running: 'the late call has ended' },
  'handlers/parked.ts': { sequences: 'handled or discarded; deadLetterLimit' },
  'handlers/postgres/transactions.ts': { open: 'the transaction has ended; as many as there are connections' },
  'handlers/postgres/known-rows.ts': { rows: 'the oldest, beyond a limit', names: 'as rows' },
  'handlers/postgres/entries.ts': { lows: 'the checkpoint is removed; one for each handler' },
  'handlers/postgres/log-readers.ts': { positions: 'the checkpoint is removed; one for each local reader' },
  'handlers/requests.ts': { taken: 'answered; at most 16' },
  'handlers/requeues.ts': { underWay: 'the requeue has ended; deadLetterLimit' },
  'handlers/running-subscriptions.ts': {
    all: 'it closes; the program names them',
    internal: 'it closes; one for each projection',
    forgetting: 'the forgetting has ended; one for each call',
  },
  'handlers/stage.ts': { projections: 'it closes; the program names them' },
  'handlers/tables.ts': {
    dirty: 'every commit',
    waiters: 'every commit',
    changedAt: 'no reading goes back so far any more',
    readings: 'the attempt has ended',
  },
  'handlers/tracker.ts': { line: 'the low-water mark; the window' },
  'log/gate.ts': { gates: 'close()' },
  'log/lineage.ts': { byNumber: 'as many as log.json has: no more than chunks in the log' },
  'log/retention.ts': { marks: 'retainMs; a hundred' },
  'log/thread.ts': { rings: 'detach' },
  'log/threads.ts': { detached: 'detached' },
  'outbox/postgres.ts': {
    raisedTypes: 'replaced as a whole; at most 100,000',
    unsettled: 'no transaction from before is open; one for each aggregate type',
  },
  'outbox/relay-ring.ts': { underWay: 'read from the log; rowsUnderWayLimit', unwritten: 'as underWay' },
  'paged-iterator.ts': { page: 'the next page; forgotten when the iteration ends' },
  'position-queue.ts': { heap: 'reached, aborted, or timed out' },
  'secrets.ts': { functions: 'weak', places: 'weak' },
  'stop-steps.ts': { failures: 'one for each step of one end' },
  'stages.ts': { setAside: 'one for each sink', refusedBefore: 'taken at the start, where it ends' },
  'store/history.ts': { waiting: 'every 20 ms' },
  'store/lmdb/heads.ts': { byType: 'trim(), after every batch', changed: 'every batch' },
  'store/lmdb/postings.ts': { blocks: 'put, when sealed', names: 'one for each type' },
  'store/lmdb/scan.ts': { known: 'goes with the scan' },
  'store/lmdb/writer.ts': { snapshots: 'every batch' },
  'store/postgres/append.ts': { isNamed: 'weak' },
  'store/postgres/recent-ownership.ts': { goodAt: 'the oldest, beyond a limit' },
  'store/postgres/partitions.ts': { months: 'one for each month', done: 'one for each month' },
  'store/postgres/sink.ts': { stale: 'told after the commit; one batch' },
  'stream/integration.ts': { byType: 'one for each declaration' },
  'stream/kafka/plan.ts': {
    full: 'goes with the batch',
    current: 'as full',
    places: 'as full',
    byKey: 'as full',
  },
  'stream/kafka/decisions.ts': { undecided: 'goes with the read' },
  'stream/kafka/sink.ts': { setAside: 'one transaction; told and let go at its end' },
  'stream/kafka/schemas.ts': { ids: 'one for each event type' },
  'stream/kafka/topics.ts': {
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
