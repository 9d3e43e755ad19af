// What the back office has made of all that has happened, for the demo: started behind the calls, it takes up history from its
// beginning, and is caught up when no handler has caused anything more for the others to handle.
import type { Runtime } from 'trunkline';
import { auditTable } from './audit-trail.ts';
import { startBackOffice } from './back-office.ts';
import { auditCdrs } from './cdr-export.ts';

export interface BackOfficeReport {
  /** How long it took to handle all of it, milliseconds. */
  readonly caughtUpMs: number;
  readonly auditEntries: number;
  readonly notifications: number;
  /** Of all days. */
  readonly calls: number;
  readonly transactions: number;
  readonly complianceChecks: number;
  readonly callRecords: number;
  /** Gaps in the numbering, calls that are there twice, and calls that are missing. */
  readonly wrong: readonly string[];
}

/** Handlers cause events which others handle. */
const rounds = 4;
const timeoutMs = 120_000; // on a machine that has other work as well

export async function reportBackOffice(runtime: Runtime, cdrFile: string): Promise<BackOfficeReport> {
  const notified = new Set<string>();
  const begun = performance.now();
  const office = startBackOffice(runtime, { cdrFile, notify: ({ key }) => void notified.add(key) });
  let position = 0;
  for (let round = 0; round < rounds && position !== runtime.status().written; round++) {
    position = runtime.status().written;
    await office.caughtUpTo(position, { timeoutMs });
  }
  const caughtUpMs = performance.now() - begun;
  let calls = 0;
  for (const { row } of await office.analytics.entries()) calls += row.calls;
  const { records, gaps, repeated, missing } = await auditCdrs(cdrFile, runtime);
  const countOf = async (type: string): Promise<number> => (await runtime.store.getByType(type)).length;
  return {
    caughtUpMs,
    auditEntries: (await runtime.effects.range(auditTable)).length,
    notifications: notified.size,
    calls,
    transactions: await countOf('TransactionCreated'),
    complianceChecks: (await countOf('ComplianceCheckPassed')) + (await countOf('ComplianceViolationDetected')),
    callRecords: records,
    wrong: [...gaps, ...repeated, ...missing],
  };
}
