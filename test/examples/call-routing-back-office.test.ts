// What follows from calls: the four handlers, the ledger, and the export of call records, over kills.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRuntime, Rejected } from 'trunkline';
import { given } from 'trunkline/testing';
import { expect, test } from 'vitest';
import { type AuditEntry, auditTable } from '../../examples/call-routing/back-office/audit-trail.ts';
import { startBackOffice } from '../../examples/call-routing/back-office/back-office.ts';
import { auditCdrs } from '../../examples/call-routing/back-office/cdr-export.ts';
import type { Notification } from '../../examples/call-routing/back-office/notification.ts';
import { Account } from '../../examples/call-routing/domain/account.ts';
import { Bid } from '../../examples/call-routing/domain/bid.ts';
import { Call } from '../../examples/call-routing/domain/call.ts';
import { Compliance } from '../../examples/call-routing/domain/compliance.ts';
import { Ledger } from '../../examples/call-routing/domain/ledger.ts';
import { scratchFolder, until } from '../runtime/scratch.ts';
import { allAggregates, makeCall } from './back-office-calls.ts';

/** For what thousands of events go through, on a machine that has other work as well. */
const patience = { timeoutMs: 150_000 };

test('all 23 events of the domain are there', () => {
  const types = allAggregates.flatMap(({ events }) => Object.keys(events as object));
  expect(types).toHaveLength(23);
});

test('a ledger: transactions, an invoice, a payment, a refund', () => {
  const transaction = { type: 'TransactionCreated', data: { callId: 'c', amount: '0.06' } } as const;
  const paid = { type: 'PaymentProcessed', data: { reference: 'r', amount: '0.06' } } as const;
  const tooMuch = { reason: 'late', amount: '0.07' };
  given(Ledger, [transaction, transaction])
    .when.invoice()
    .then([{ type: 'InvoiceGenerated', data: { number: 1, amount: '0.12' } }]);
  given(Ledger, [paid]).when.refund({ reason: 'late', amount: '0.06' }).then(['RefundIssued']);
  given(Ledger, [paid]).when.refund(tooMuch).then(new Rejected('not-refundable', tooMuch));
});

test('the handlers act on calls, each in its way', async () => {
  const dataDir = scratchFolder();
  const cdrFile = join(dirname(dataDir), 'cdr.csv');
  await using runtime = await createRuntime({ logger: false, dataDir, aggregates: allAggregates, shards: 1 });
  const notifications: Notification[] = [];
  const office = startBackOffice(runtime, {
    cdrFile,
    bannedTrunks: ['west'],
    notify: (notification) => void notifications.push(notification),
  });
  await runtime.ref(Account, 'ann').create({ name: 'Ann', currency: 'EUR' });
  await runtime.ref(Bid, 'b').place({ trunk: 'west', prefix: '44', ratePerMinute: '0.06' });
  await runtime.ref(Compliance, '441').grantConsent('web');
  await runtime.ref(Compliance, '442').revokeConsent('letter');
  await makeCall(runtime, 'one', '441');
  await makeCall(runtime, 'two', '442');
  const refused = { standing: undefined, bids: [], sipCallId: 'sip-three', accountId: 'nobody', called: '441' };
  await runtime.ref(Call, 'three').place(refused);
  await until(
    async () => (await runtime.store.getByType('TransactionCreated')).length,
    (count) => count === 2,
  );
  // Handlers cause events which others handle: until nothing moves any more.
  let position = 0;
  while (position !== runtime.status().written) {
    position = runtime.status().written;
    await office.caughtUpTo(position, patience);
  }
  const violations = await runtime.store.getByType('ComplianceViolationDetected');
  expect(violations.map(({ aggregateId, data }) => [aggregateId, (data as { rule: string }).rule]).sort()).toEqual([
    ['441', 'trunk'],
    ['442', 'consent'],
    ['442', 'trunk'],
  ]);
  expect(notifications.filter(({ text }) => text.startsWith('CallCompleted'))).toHaveLength(2);
  expect(notifications.filter(({ text }) => text.startsWith('ComplianceViolation'))).toHaveLength(3);
  expect(notifications.filter(({ text }) => text.startsWith('BidWon'))).toHaveLength(2);
  const [day] = await office.analytics.entries();
  expect(day!.row).toEqual({ calls: 2, billedSeconds: 120, bids: 1, revenue: '0.12' });
  expect(await runtime.effects.range('called-numbers')).toEqual([]); // calls that fail leave nothing either
  const trail = await runtime.effects.range(auditTable);
  let events = 0;
  for await (const _ of runtime.events()) events++;
  expect(trail).toHaveLength(events);
  expect((trail[0]!.value as AuditEntry).what).toBe('AccountCreated');
  expect(await auditCdrs(cdrFile, runtime)).toEqual({ records: 2, gaps: [], repeated: [], missing: [] });
});

test('call records: each once, numbered without a gap, whenever the service is killed', async () => {
  const dataDir = scratchFolder();
  const cdrFile = join(dirname(dataDir), 'cdr.csv');
  const service = new URL('./back-office-service.ts', import.meta.url).pathname;
  const lines = (): number => {
    try {
      return readFileSync(cdrFile, 'utf8').split('\n').length - 1;
    } catch {
      return 0;
    }
  };
  for (let run = 1; run <= 4; run++) {
    const args = [
      '--conditions=trunkline-source',
      '--min-semi-space-size=16',
      service,
      dataDir,
      cdrFile,
      String(run * 100_000),
    ];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const before = lines();
    await until(lines, (count) => count > before + 40, patience.timeoutMs);
    child.kill('SIGKILL');
    await exited;
  }
  await using runtime = await createRuntime({ logger: false, dataDir, aggregates: allAggregates, shards: 1 });
  const office = startBackOffice(runtime, { cdrFile, notify: () => {} });
  await office.caughtUpTo(runtime.status().written, patience);
  const audit = await auditCdrs(cdrFile, runtime);
  expect(audit).toMatchObject({ gaps: [], repeated: [], missing: [] });
  expect(audit.records).toBeGreaterThan(160);
}, 600_000);
