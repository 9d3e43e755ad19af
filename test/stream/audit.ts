// What a read_committed consumer sees, against what has been acknowledged.
import type { Consumed } from './consume.ts';

export interface Findings {
  lost: string[];
  duplicated: string[];
  outOfOrder: string[];
}

export function audit(records: readonly Consumed[], acknowledged: readonly string[]): Findings {
  const findings: Findings = { lost: [], duplicated: [], outOfOrder: [] };
  const seen = new Set<string>();
  const versions = new Map<string, number>();
  for (const { key, headers } of records) {
    const id = headers['event-id']!;
    if (seen.has(id)) findings.duplicated.push(id);
    seen.add(id);
    const version = Number(headers['aggregate-version']);
    if (version !== (versions.get(key) ?? 0) + 1) findings.outOfOrder.push(`${key}@${version}`);
    versions.set(key, version);
  }
  for (const id of acknowledged) if (!seen.has(id)) findings.lost.push(id);
  return findings;
}

export const nothing: Findings = { lost: [], duplicated: [], outOfOrder: [] };
