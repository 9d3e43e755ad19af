// Compares what clients were told with what is there after the last restart.
import type { Runtime } from '../../src/index.ts';

export interface Told {
  kind: 'acknowledged' | 'heard' | 'started';
  ack: string;
  aggregateId: string;
  version: number;
  id: string;
  events: { id: string; version: number }[];
}

export interface Findings {
  events: number;
  acknowledged: number;
  lost: string[];
  gapped: string[];
  duplicated: string[];
  reordered: string[];
}

/** `told`: every line of every run, in order. */
export async function audit(runtime: Runtime, told: readonly Told[]): Promise<Findings> {
  const findings: Findings = { events: 0, acknowledged: 0, lost: [], gapped: [], duplicated: [], reordered: [] };
  const versions = new Map<string, number>();
  const seen = new Map<string, string>();
  let position = 0;
  for await (const event of runtime.events()) {
    findings.events++;
    const place = `${event.aggregateId}@${event.version}`;
    const expected = (versions.get(event.aggregateId) ?? 0) + 1;
    if (event.version !== expected) findings.gapped.push(`${place}, expected ${expected}`);
    versions.set(event.aggregateId, event.version);
    if (event.position <= position) findings.reordered.push(place);
    position = event.position;
    if (seen.has(event.id)) findings.duplicated.push(place);
    seen.set(event.id, place);
  }
  const mustBeThere = (id: string, place: string): void => {
    if (seen.get(id) !== place) findings.lost.push(`${place}: ${seen.get(id) ?? 'nothing'}`);
  };
  for (const line of told) {
    if (line.kind === 'heard') mustBeThere(line.id, `${line.aggregateId}@${line.version}`);
    if (line.kind !== 'acknowledged' || line.ack === 'raised') continue;
    findings.acknowledged++;
    for (const event of line.events) mustBeThere(event.id, `${line.aggregateId}@${event.version}`);
  }
  return findings;
}
