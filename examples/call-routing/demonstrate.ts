// The demo itself: calls and what they cost; then a kill in mid-traffic and the proof that nothing acknowledged is lost.
import type { Acknowledgement, EventLine } from './control.ts';
import { Database } from './database.ts';
import { startProgress } from './report/progress.ts';
import type { Check } from './report/proof.ts';
import { prove } from './report/proof.ts';
import { Published } from './report/published.ts';
import { count, row, summarise, summariseOffice, time } from './report/summary.ts';
import { RouterClient } from './router-client.ts';
import { makeTimers } from './sip/timers.ts';
import { Callee } from './traffic/callee.ts';
import type { CallRecord } from './traffic/caller.ts';
import { Caller } from './traffic/caller.ts';
import { demoAdmission, demoProvision, statusOf, trunks } from './traffic/plan.ts';
import { runTraffic } from './traffic/traffic.ts';

export interface DemoOptions {
  readonly calls: number;
  readonly rate: number;
  /** Keep the events in a PostgreSQL of the demo's own. */
  readonly postgres: boolean;
  /** Start a broker, publish to it, and count what a consumer sees. */
  readonly kafka: boolean;
  readonly dataDir: string;
}

/** How many calls must have ended after the summary before the router is killed, and are placed after its restart; of a small demo, so many as before. */
const callsBeforeKillMost = 500;
const callsAfterRestartMost = 200;
const settleMs = 10_000;

/** False if anything is not as it must be. */
export async function demonstrate({ calls, rate, postgres, kafka, dataDir }: DemoOptions): Promise<boolean> {
  await using cleanup = new AsyncDisposableStack();
  const timers = makeTimers();
  const callees = await Promise.all(trunks.map(() => Callee.start(timers)));
  for (const callee of callees) cleanup.defer(() => callee.stop());
  const addresses = Object.fromEntries(trunks.map((trunk, index) => [trunk, callees[index]!.address]));
  const database = postgres ? await Database.start() : undefined;
  if (database) cleanup.defer(() => database.stop());
  const published = kafka ? await Published.start() : undefined;
  if (published) cleanup.defer(() => published.stop());
  const settings = {
    dataDir,
    trunks: addresses,
    provision: demoProvision,
    admission: demoAdmission,
    refusalsPerMinute: Number.MAX_SAFE_INTEGER,
    postgres: database?.url,
    kafka: published?.address,
  };
  const records: CallRecord[] = [];
  const start = async (): Promise<{ router: RouterClient; caller: Caller; startMs: number; closedCalls: number }> => {
    const { router, started } = await RouterClient.start(settings);
    cleanup.defer(() => router.kill());
    const caller = await Caller.start(started.address, timers);
    cleanup.defer(() => caller.stop());
    return { router, caller, ...started };
  };
  /** Place calls, until they have all ended or the signal says so. */
  const place = (
    on: { router: RouterClient; caller: Caller },
    howMany: number,
    signal?: AbortSignal,
  ): Promise<void> => {
    const onRecord = (record: CallRecord): number => records.push(record);
    const traffic = { caller: on.caller, callsPerSecond: rate, firstCall: records.length, calls: howMany, onRecord };
    return Promise.race([runTraffic({ ...traffic, signal }), on.router.failure]);
  };

  console.log(`\n  placing ${count(calls)} calls, ${count(rate)} a second`);
  const first = await start();
  const progress = startProgress(() => {
    const { length: acknowledged } = first.router.acknowledgements;
    return `${count(records.length)} of ${count(calls)} calls · ${count(acknowledged)} acknowledgements`;
  });
  await place(first, calls).finally(() => progress.stop());
  console.log(summarise(await first.router.report()));

  console.log(`  killing the router (SIGKILL) while calls go on`);
  const killed = new AbortController();
  const goingOn = place(first, Number.POSITIVE_INFINITY, killed.signal);
  await Promise.race([goingOn, until(() => records.length >= calls + Math.min(calls, callsBeforeKillMost))]);
  await first.router.kill();
  killed.abort();
  await first.caller.stop();
  await goingOn;

  const second = await start();
  console.log(row('read back and serving after', time(second.startMs)));
  console.log(row('calls the kill cut off, closed', count(second.closedCalls)));
  const { acknowledgements } = first.router;
  const reached = new Set(callees.flatMap((callee) => [...callee.reached]));
  const hungUp = new Set(callees.flatMap((callee) => [...callee.hungUp]));
  const checks = await proveWhenSettled(second.router, (events) => {
    return prove(events, { acknowledgements, reached, hungUp, records });
  });
  console.log(`\n${checks.map(describe).join('\n')}`);

  const cutOff = records.length;
  await place(second, Math.min(calls, callsAfterRestartMost));
  if (published) {
    const check = await published.prove(() => second.router.events(), settleMs);
    checks.push(check);
    console.log(describe(check));
  }
  const office = await second.router.backOffice();
  console.log(summariseOffice(office));
  checks.push({ what: 'call records, numbered without a gap', checked: office.callRecords, wrong: office.wrong });
  console.log(describe(checks.at(-1)!));
  await second.router.stop();
  const rowsAreWhole =
    database === undefined || (await proveRows(database, [...acknowledgements, ...second.router.acknowledgements]));
  const surprises = [...records.slice(0, calls), ...records.slice(cutOff)].filter(isSurprise);
  for (const { plan, status } of surprises.slice(0, 5)) console.log(`  ✗ ${plan.kind}: the caller saw ${status}`);
  for (const failure of [...first.router.failures, ...second.router.failures].slice(0, 5))
    console.log(`  ✗ ${failure}`);
  const isWhole = checks.every(({ wrong }) => wrong.length === 0) && surprises.length === 0 && rowsAreWhole;
  console.log(isWhole ? `\n  nothing is lost, and it routes on.\n` : `\n  this is not as it must be.\n`);
  return isWhole;
}

/** What a command sends to other aggregates is delivered after the restart if the kill was faster: give it a moment. */
async function proveWhenSettled(router: RouterClient, proof: (events: EventLine[]) => Check[]): Promise<Check[]> {
  const giveUpAt = performance.now() + settleMs;
  for (;;) {
    const checks = proof(await router.events());
    if (checks.every(({ wrong }) => wrong.length === 0) || performance.now() > giveUpAt) return checks;
  }
}

/** The router has drained its log into PostgreSQL: what it acknowledged is there. */
async function proveRows(database: Database, acknowledgements: readonly Acknowledgement[]): Promise<boolean> {
  const ids = await database.eventIds();
  const acknowledged = acknowledgements.flatMap(({ eventIds }) => eventIds);
  const wrong = acknowledged.filter((id) => !ids.has(id));
  console.log(row('rows in PostgreSQL', count(ids.size)));
  console.log(describe({ what: 'acknowledged events that are rows', checked: acknowledged.length, wrong }));
  return wrong.length === 0;
}

function describe({ what, checked, wrong }: Check): string {
  const verdict = `${count(checked - wrong.length)} of ${count(checked)}`;
  const line = `  ${wrong.length === 0 ? '✓' : '✗'} ${what.padEnd(38)}${verdict.padStart(18)}`;
  return [line, ...wrong.slice(0, 5).map((item) => `      ${item}`)].join('\n');
}

function isSurprise({ plan, status, completed }: CallRecord): boolean {
  const expected = statusOf(plan.kind);
  return status !== expected || completed !== (expected === 200);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
