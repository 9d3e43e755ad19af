// The whole router: the runtime, what it remembers, the desk and the proxy in front of it.
import type { Receipt, StoredEvent } from 'trunkline';
import { createRuntime } from 'trunkline';
import { kafka } from 'trunkline/kafka';
import { postgres } from 'trunkline/postgres';
import { type BackOfficeOptions, startBackOffice } from '../back-office/back-office.ts';
import { type BackOfficeReport, reportBackOffice } from '../back-office/report.ts';
import type { BalanceUpdated } from '../domain/account.ts';
import { Account } from '../domain/account.ts';
import { Bid } from '../domain/bid.ts';
import { Call } from '../domain/call.ts';
import { Compliance } from '../domain/compliance.ts';
import { Ledger } from '../domain/ledger.ts';
import type { AdmissionOptions } from '../proxy/admission.ts';
import { SipProxy } from '../proxy/proxy.ts';
import type { Address } from '../sip/message.ts';
import type { Timers } from '../sip/timers.ts';
import { makeTimers } from '../sip/timers.ts';
import { Credit } from './credit.ts';
import { LiveStates } from './live-states.ts';
import { startMarket } from './market.ts';
import type { Latency, Measured } from './measures.ts';
import { Measures } from './measures.ts';
import type { Provision } from './provision.ts';
import { provision } from './provision.ts';
import { follow, OpenCalls } from './recovery.ts';
import { RefusalLimit } from './refusal-limit.ts';
import { RuntimeDesk } from './runtime-desk.ts';
import { Tally } from './tally.ts';

export interface RouterOptions {
  readonly dataDir: string;
  /** Connection string; without it events are kept in `dataDir`. */
  readonly postgres?: string | undefined;
  /** host:port of a Kafka broker that events are published to; default: none. */
  readonly kafka?: string | undefined;
  readonly listen: Address;
  readonly trunks: Readonly<Record<string, Address>>;
  readonly provision: Provision;
  /** Who may call, and which account pays; without it every call is refused. */
  readonly admission?: AdmissionOptions;
  /** For how much of a call money is held at a time, in whole seconds; default: a minute. */
  readonly creditSliceMs?: number;
  /** Most calls that one account begins a second, unless its peer has a limit of its own; beyond it 503. Default: 100. */
  readonly callsPerSecond?: number;
  /**
   * How many calls of an account that are not answered are written a minute, beside four for each that is; beyond it the account
   * gets 503. Default: 600.
   */
  readonly refusalsPerMinute?: number;
  /** Whether bids move and expire by themselves. */
  readonly market?: boolean;
  /** Handlers of what follows from calls; without it there are none. */
  readonly backOffice?: BackOfficeOptions;
  readonly timers?: Timers;
  readonly acknowledged?: (aggregateType: string, id: string, receipt: Receipt<unknown>) => void;
  readonly failed?: (error: unknown) => void;
}

export interface RouterReport {
  readonly calls: Readonly<Record<string, number>>;
  readonly trunks: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
  /** Events over the time in which they were raised. */
  readonly eventsPerSecond: number;
  readonly latencies: Readonly<Record<Measured, Latency>>;
  readonly counters: Readonly<Record<string, number>>;
  readonly failures: number;
}

export interface Router {
  readonly address: Address;
  /** How long it took to open the data directory and to read it back. */
  readonly startMs: number;
  /** Calls that an earlier run left open, and that are failed now. */
  readonly closedCalls: number;
  report(): RouterReport;
  events(): AsyncIterable<StoredEvent>;
  /** Start the back office, let it handle everything that has happened, and say what it has done. */
  backOffice(cdrFile: string): Promise<BackOfficeReport>;
  stop(): Promise<void>;
}

/** A transaction stays for 32 s after its end: enough for 2,000 calls a second of one INVITE and one BYE each. */
const transactionsLimit = 131_072;
const callsLimit = 65_536;

export async function startRouter(options: RouterOptions): Promise<Router> {
  const startedAt = performance.now();
  const { dataDir, listen, acknowledged = () => {}, timers = makeTimers() } = options;
  const store =
    options.postgres === undefined ? undefined : postgres({ connectionString: options.postgres, migrate: true });
  const stream = options.kafka === undefined ? undefined : kafka({ brokers: [options.kafka] });
  const aggregates = [Call, Bid, Account, Compliance, Ledger];
  const runtime = await createRuntime({ dataDir, aggregates, shards: 1, store, stream });
  const accounts = new LiveStates(Account);
  const bids = new LiveStates(Bid);
  const openCalls = new OpenCalls();
  const credit = new Credit(accounts, options.creditSliceMs);
  const refusals = new RefusalLimit(options.refusalsPerMinute ?? 600);
  const measures = new Measures();
  const tally = new Tally();
  let failures = 0;
  const failed = (error: unknown): void => {
    failures++;
    options.failed?.(error);
  };

  await follow(runtime, (event) => {
    accounts.apply(event);
    bids.apply(event);
    openCalls.apply(event);
    // A completed call keeps its hold until it is paid.
    if (event.type === 'BalanceUpdated') credit.release((event.data as BalanceUpdated).callId ?? '');
  });
  const startMs = performance.now() - startedAt;

  const left = openCalls.ids;
  for (const id of left) await runtime.ref(Call, id).fail({ status: 500, reason: 'router-restarted' });
  runtime.bus.on('*', (event) => tally.count(event));
  await provision(runtime, options.provision, { accounts, bids });

  const desk = new RuntimeDesk({
    runtime,
    bids,
    credit,
    refusals,
    measures,
    trunks: new Map(Object.entries(options.trunks)),
    acknowledged: (id, receipt) => acknowledged(Call.name, id, receipt),
  });
  const proxy = await SipProxy.start({
    listen,
    desk,
    timers,
    admission: options.admission ?? {},
    transactionsLimit,
    callsLimit,
    ...(options.callsPerSecond !== undefined && { callsPerSecond: options.callsPerSecond }),
    failed,
    forwarded: (trunk, elapsedMs) => {
      tally.forwarded(trunk);
      measures.record('invite', elapsedMs);
    },
  });
  const counters = (): Record<string, number> => ({ ...proxy.counters, refusalsUnrecorded: refusals.unrecorded });
  if (options.backOffice) startBackOffice(runtime, options.backOffice);
  const stopMarket = options.market ? startMarket(runtime, bids, failed) : () => {};

  return {
    address: proxy.address,
    startMs,
    closedCalls: left.length,
    report: () => ({ ...tally.report(), latencies: measures.latencies(), counters: counters(), failures }),
    events: () => runtime.events(),
    backOffice: (cdrFile) => reportBackOffice(runtime, cdrFile),
    async stop() {
      stopMarket();
      await proxy.stop();
      await runtime.close();
    },
  };
}
