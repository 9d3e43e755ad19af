// AuditTrailHandler: an entry for every event there is, written once. The newest ones are kept: an older one makes room for the one
// that comes `entriesLimit` positions after it. The events themselves stay where events are kept.
import type { Runtime, Subscription } from 'trunkline';

export interface AuditEntry {
  readonly position: number;
  readonly at: string;
  readonly what: string;
  readonly who: string;
  readonly why: string | undefined;
}

export const auditTable = 'audit-trail';
const entriesLimit = 1_000_000;

export function auditKey(position: number): string {
  return String(position % entriesLimit).padStart(6, '0');
}

export function auditTrail(runtime: Runtime): Subscription {
  return runtime.subscribe({
    name: 'AuditTrailHandler',
    events: '*',
    handle({ position, occurredAt, type, aggregateType, aggregateId, metadata }, { tx }) {
      const entry: AuditEntry = {
        position,
        at: occurredAt.toISOString(),
        what: type,
        who: `${aggregateType}/${aggregateId}`,
        why: metadata.causationId,
      };
      tx.put(auditTable, auditKey(position), entry);
    },
  });
}
