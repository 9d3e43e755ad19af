// What the router did and what it cost, for people.
import type { BackOfficeReport } from '../back-office/report.ts';
import type { RouterReport } from '../routing/router.ts';

const meanings: readonly [name: keyof RouterReport['latencies'], text: string][] = [
  ['invite', 'INVITE in → INVITE out'],
  ['raise', 'raise, inside a command'],
  ['written', 'command → written'],
  ['synced', 'command → synced'],
];

export function summarise(report: RouterReport): string {
  const { calls, events, trunks, eventsPerSecond, latencies, counters, failures } = report;
  const total = sum(events);
  return [
    heading('calls by outcome', count(sum(calls))),
    ...table(calls),
    heading('calls by trunk', count(sum(trunks))),
    ...table(trunks),
    heading('events by type', `${count(total)}, ${count(Math.round(eventsPerSecond))}/s`),
    ...table(events),
    heading('latency', 'p50          p99'),
    ...meanings.map(([name, text]) => row(text, `${time(latencies[name].p50Ms)} ${time(latencies[name].p99Ms)}`)),
    heading('datagrams', `${count(counters.received ?? 0)} in, ${count(counters.sent ?? 0)} out`),
    row('sent twice, absorbed', count(counters.retransmissionsAbsorbed ?? 0)),
    row('malformed, answered 400', count(counters.malformedAnswered ?? 0)),
    row('malformed, dropped', count(counters.malformedDropped ?? 0)),
    ...(failures > 0 ? [row('commands that failed', count(failures))] : []),
    '',
  ].join('\n');
}

/** The handlers behind the calls: what they made of it. */
export function summariseOffice(report: BackOfficeReport): string {
  const { caughtUpMs, auditEntries, notifications, calls, transactions, complianceChecks } = report;
  return [
    heading('back office, caught up after', time(caughtUpMs)),
    row('audit trail, entries', count(auditEntries)),
    row('notifications', count(notifications)),
    row('analytics, completed calls', count(calls)),
    row('billing, transactions', count(transactions)),
    row('compliance, checks', count(complianceChecks)),
  ].join('\n');
}

function heading(title: string, value: string): string {
  return `\n${row(title, value, 0)}`;
}

function table(counts: Readonly<Record<string, number>>): string[] {
  const rows = Object.entries(counts).sort(([, left], [, right]) => right - left);
  return rows.map(([name, value]) => row(name, count(value)));
}

export function row(name: string, value: string, indent = 2): string {
  return `  ${`${' '.repeat(indent)}${name}`.padEnd(28)}${value.padStart(24)}`;
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function time(ms: number): string {
  if (!Number.isFinite(ms)) return '–'.padStart(12);
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(2)} s`.padStart(12);
  return (ms < 1 ? `${(ms * 1_000).toFixed(1)} µs` : `${ms.toFixed(2)} ms`).padStart(12);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}
