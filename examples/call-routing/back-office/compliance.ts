// ComplianceHandler: checks calls after the fact. What it finds are events of the number that was called; the idempotency key
// makes them one, however often the handler is called.
import type { Runtime, Subscription } from 'trunkline';
import { Call, type CallCreated, type CallRouted } from '../domain/call.ts';
import { Compliance } from '../domain/compliance.ts';

export function compliance(runtime: Runtime, bannedTrunks: ReadonlySet<string>): Subscription {
  return runtime.subscribe({
    name: 'ComplianceHandler',
    aggregates: [Call],
    events: ['CallCreated', 'CallRouted', 'CallFailed'],
    async handle(event, { effectKey, tx }) {
      const callId = event.aggregateId;
      if (event.type === 'CallCreated') {
        const { called } = event.data as CallCreated;
        await runtime.ref(Compliance, called).with({ idempotencyKey: effectKey }).checkCalled(callId);
        tx.put('called-numbers', callId, called);
        return;
      }
      if (event.type === 'CallFailed') {
        tx.remove('called-numbers', callId); // a call that was refused is never routed
        return;
      }
      const { trunk } = event.data as CallRouted;
      const called = (await tx.get<string>('called-numbers', callId))!;
      const check = { callId, trunk, isAllowed: !bannedTrunks.has(trunk) };
      await runtime.ref(Compliance, called).with({ idempotencyKey: effectKey }).checkRouted(check);
      tx.remove('called-numbers', callId);
    },
  });
}
