// A call from its beginning to its end, without a network.
import type { AnyAggregate, Runtime } from 'trunkline';
import { Account } from '../../examples/call-routing/domain/account.ts';
import { Bid } from '../../examples/call-routing/domain/bid.ts';
import { Call } from '../../examples/call-routing/domain/call.ts';
import { Compliance } from '../../examples/call-routing/domain/compliance.ts';
import { Ledger } from '../../examples/call-routing/domain/ledger.ts';

export const allAggregates: readonly AnyAggregate[] = [Call, Bid, Account, Compliance, Ledger];

export async function makeCall(runtime: Runtime, callId: string, called: string): Promise<void> {
  const call = runtime.ref(Call, callId);
  const standing = { isActive: true, availableMicros: 1e9 };
  const bids = [{ bidId: 'b', trunk: 'west', ratePerMinute: '0.06' }];
  await call.place({ standing, bids, sipCallId: `sip-${callId}`, accountId: 'ann', called });
  await call.answer();
  await call.complete({ durationMs: 60_000, endedBy: 'caller' });
}
