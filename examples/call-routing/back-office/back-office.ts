// What follows from calls, behind their back: four handlers, a ledger, and the export of call detail records. All are
// durable; none is on the way of a call.
import type { Projection, Runtime } from 'trunkline';
import { type Analytics, analytics } from './analytics.ts';
import { auditTrail } from './audit-trail.ts';
import { billing } from './billing.ts';
import { CdrExport } from './cdr-export.ts';
import { compliance } from './compliance.ts';
import { type Notification, NotificationHandler } from './notification.ts';

export interface BackOfficeOptions {
  /** Where call detail records are written. */
  readonly cdrFile: string;
  /** Trunks that no call may be routed by. */
  readonly bannedTrunks?: readonly string[];
  readonly notify: (notification: Notification) => Promise<void> | void;
}

export interface BackOffice {
  readonly analytics: Projection<Analytics>;
  /** Resolves when all of them have handled everything up to this log position. */
  caughtUpTo(position: number, options?: { timeoutMs: number }): Promise<void>;
}

export function startBackOffice(runtime: Runtime, options: BackOfficeOptions): BackOffice {
  const rows = runtime.project(analytics);
  const subscriptions = [
    auditTrail(runtime),
    runtime.register(new NotificationHandler(options.notify)),
    compliance(runtime, new Set(options.bannedTrunks)),
    billing(runtime),
    new CdrExport(options.cdrFile).start(runtime),
  ];
  return {
    analytics: rows,
    async caughtUpTo(position, options) {
      for (const one of [...subscriptions, rows]) await one.caughtUpTo(position, options);
    },
  };
}
