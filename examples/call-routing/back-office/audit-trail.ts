// AuditTrailHandler: an entry for every event there is, written once.
import type { Runtime, Subscription } from 'trunkline';

export interface AuditEntry {
  readonly at: string;
  readonly what: string;
  readonly who: string;
  readonly why: string | undefined;
}

export const auditTable = 'audit-trail';

export function auditTrail(runtime: Runtime): Subscription {
  return runtime.subscribe({
    name: 'AuditTrailHandler',
    events: '*',
    handle({ position, occurredAt, type, aggregateType, aggregateId, metadata }, { tx }) {
      const entry: AuditEntry = {
        at: occurredAt.toISOString(),
        what: type,
        who: `${aggregateType}/${aggregateId}`,
        why: metadata.causationId,
      };
      tx.put(auditTable, String(position).padStart(16, '0'), entry);
    },
  });
}
