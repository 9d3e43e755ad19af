// What accounts can still spend: balance plus credit limit, less what the calls in progress hold. A call holds the first
// minute at its dearest bid until it has failed or is paid, so that many calls at once cannot spend the same money.
import type { Account } from '../domain/account.ts';
import type { PlaceCall } from '../domain/call.ts';
import type { LiveStates } from './live-states.ts';

export class Credit {
  readonly #accounts: LiveStates<typeof Account>;
  readonly #heldMicros = new Map<string, number>();
  readonly #holds = new Map<string, { accountId: string; micros: number }>();

  constructor(accounts: LiveStates<typeof Account>) {
    this.#accounts = accounts;
  }

  standing(accountId: string): PlaceCall['standing'] {
    const account = this.#accounts.get(accountId);
    if (!account) return undefined;
    const heldMicros = this.#heldMicros.get(accountId) ?? 0;
    const availableMicros = account.balanceMicros + account.creditLimitMicros - heldMicros;
    return { isActive: account.status === 'active', availableMicros };
  }

  /** False if the call holds already: a copy of its INVITE is being placed. */
  hold(callId: string, accountId: string, micros: number): boolean {
    if (this.#holds.has(callId)) return false;
    this.#holds.set(callId, { accountId, micros });
    this.#heldMicros.set(accountId, (this.#heldMicros.get(accountId) ?? 0) + micros);
    return true;
  }

  release(callId: string): void {
    const hold = this.#holds.get(callId);
    if (!hold) return;
    this.#holds.delete(callId);
    this.#heldMicros.set(hold.accountId, this.#heldMicros.get(hold.accountId)! - hold.micros);
  }
}
