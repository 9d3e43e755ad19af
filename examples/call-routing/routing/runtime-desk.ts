// The routing desk on Trunkline: each answer is a receipt of the call's aggregate, and a receipt says `written`.
import type { Receipt, Runtime } from 'trunkline';
import { Rejected } from 'trunkline';
import type { Bid } from '../domain/bid.ts';
import type { CallRouted, FailureReason } from '../domain/call.ts';
import { Call } from '../domain/call.ts';
import type { CallEnding, Decision, Invitation, RoutingDesk } from '../proxy/desk.ts';
import type { Address } from '../sip/message.ts';
import type { Credit } from './credit.ts';
import type { LiveStates } from './live-states.ts';
import type { Measures } from './measures.ts';
import type { RefusalLimit } from './refusal-limit.ts';

export interface DeskParts {
  readonly runtime: Runtime;
  readonly bids: LiveStates<typeof Bid>;
  readonly credit: Credit;
  readonly refusals: RefusalLimit;
  readonly trunks: ReadonlyMap<string, Address>;
  readonly measures: Measures;
  /** Called with every receipt before the SIP message that depends on it leaves. */
  readonly acknowledged: (callId: string, receipt: Receipt<unknown>) => void;
}

export class RuntimeDesk implements RoutingDesk {
  readonly #parts: DeskParts;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  async place({ callId, sipCallId, account: accountId, called }: Invitation): Promise<Decision> {
    const { runtime, credit, refusals, trunks, measures } = this.#parts;
    const begun = refusals.begin(callId, accountId);
    if (begun === 'refused') return { kind: 'refuse', status: 503 };
    const bids = this.#liveBids(called);
    const standing = credit.standing(accountId);
    const holds = credit.hold(callId, accountId, bids);
    let isRouted = false;
    try {
      const startedAt = performance.now();
      const placing = runtime.ref(Call, callId).place({ sipCallId, accountId, called, standing, bids });
      const receipt = await this.#acknowledge(callId, placing);
      const synced = (): void => measures.record('synced', performance.now() - startedAt);
      receipt.reached('synced').then(synced, () => {});
      const placed = receipt.value;
      if (placed.kind === 'refuse') {
        refusals.end(callId, 'unanswered');
        return placed;
      }
      isRouted = true;
      credit.settle(callId, placed.ratePerMinute);
      measures.record('raise', placed.raiseMicros / 1_000);
      return { kind: 'route', trunk: placed.trunk, address: trunks.get(placed.trunk)! };
    } catch (error) {
      // Another copy of this INVITE came by another way, or before a restart: a merged request (RFC 3261 §8.2.2.2).
      if (error instanceof Rejected && error.code === 'call-exists') return { kind: 'refuse', status: 482 };
      throw error;
    } finally {
      if (holds && !isRouted) credit.release(callId);
      // If it was written it has ended above.
      if (begun === 'begun' && !isRouted) refusals.end(callId, 'unwritten');
    }
  }

  async answered(callId: string): Promise<void> {
    await this.#acknowledge(callId, this.#parts.runtime.ref(Call, callId).answer());
    this.#parts.refusals.end(callId, 'answered');
  }

  async completed(callId: string, ending: CallEnding): Promise<void> {
    const coveredMs = this.coveredMs(callId);
    try {
      await this.#acknowledge(callId, this.#parts.runtime.ref(Call, callId).complete({ ...ending, coveredMs }));
    } catch (error) {
      this.#parts.credit.release(callId); // it will not be paid, and nothing else would
      throw error;
    }
  }

  coveredMs(callId: string): number {
    return this.#parts.credit.coveredMs(callId);
  }

  extend(callId: string): boolean {
    return this.#parts.credit.extend(callId);
  }

  async failed(callId: string, status: number): Promise<void> {
    this.#parts.credit.release(callId);
    this.#parts.refusals.end(callId, 'unanswered');
    await this.#acknowledge(callId, this.#parts.runtime.ref(Call, callId).fail({ status, reason: reasonOf(status) }));
  }

  async #acknowledge<Value>(callId: string, command: Promise<Receipt<Value, any>>): Promise<Receipt<Value>> {
    const startedAt = performance.now();
    const receipt = await command;
    this.#parts.measures.record('written', performance.now() - startedAt);
    this.#parts.acknowledged(callId, receipt);
    return receipt;
  }

  #liveBids(called: string): CallRouted[] {
    const offers: CallRouted[] = [];
    for (const [bidId, { status, trunk, prefix, ratePerMinute }] of this.#parts.bids) {
      const isOffer = status === 'live' && called.startsWith(prefix) && this.#parts.trunks.has(trunk);
      if (isOffer) offers.push({ bidId, trunk, ratePerMinute });
    }
    return offers;
  }
}

function reasonOf(status: number): FailureReason {
  if (status === 487) return 'cancelled';
  return status === 408 || status === 480 ? 'not-answered' : 'refused-by-trunk';
}
