// What accounts can still spend: balance plus credit limit, less what the calls in progress hold. A call holds money for the time
// that it may last, slice by slice: the first, at its dearest bid, before it is placed; the next when that is over, if the
// account can still pay for it. So many calls at once cannot spend the same money, and none can spend what is not there.
import type { Account } from '../domain/account.ts';
import type { PlaceCall } from '../domain/call.ts';
import { firstHoldMs } from '../domain/call.ts';
import type { Decimal } from '../domain/money.ts';
import { costMicros, toMicros } from '../domain/money.ts';
import type { LiveStates } from './live-states.ts';

interface Hold {
  readonly accountId: string;
  micros: number;
  /** For how much of the call. */
  coveredMs: number;
  ratePerMinute: Decimal | undefined;
}

export class Credit {
  readonly #accounts: LiveStates<typeof Account>;
  readonly #sliceMs: number;
  /** By account, of accounts that exist and hold something. */
  readonly #heldMicros = new Map<string, number>();
  readonly #holds = new Map<string, Hold>();

  /** `sliceMs`: whole seconds, since calls are charged by them. */
  constructor(accounts: LiveStates<typeof Account>, sliceMs: number = firstHoldMs) {
    this.#accounts = accounts;
    this.#sliceMs = sliceMs;
  }

  standing(accountId: string): PlaceCall['standing'] {
    const account = this.#accounts.get(accountId);
    if (!account) return undefined;
    const heldMicros = this.#heldMicros.get(accountId) ?? 0;
    const availableMicros = account.balanceMicros + account.creditLimitMicros - heldMicros;
    return { isActive: account.status === 'active', availableMicros, firstHoldMs: this.#sliceMs };
  }

  /** Before a call is placed, by any of these bids. False if the call holds already: a copy of its INVITE is being placed. */
  hold(callId: string, accountId: string, bids: readonly { readonly ratePerMinute: Decimal }[]): boolean {
    if (this.#holds.has(callId)) return false;
    if (!this.#accounts.get(accountId)) return true; // it is refused, and holds nothing
    this.#holds.set(callId, { accountId, micros: 0, coveredMs: this.#sliceMs, ratePerMinute: undefined });
    this.#change(callId, Math.max(0, ...bids.map(({ ratePerMinute }) => costMicros(ratePerMinute, this.#sliceMs))));
    return true;
  }

  /** The trunk is chosen: the first slice costs this. */
  settle(callId: string, ratePerMinute: Decimal): void {
    const hold = this.#holds.get(callId);
    if (!hold) return;
    hold.ratePerMinute = ratePerMinute;
    this.#change(callId, costMicros(ratePerMinute, hold.coveredMs));
  }

  /** For how much of the call money is held now. */
  coveredMs(callId: string): number {
    return this.#holds.get(callId)?.coveredMs ?? 0;
  }

  /** Hold the next slice, or as many seconds of it as the account can pay for; false if that is none. */
  extend(callId: string): boolean {
    const hold = this.#holds.get(callId);
    const standing = hold && this.standing(hold.accountId);
    if (!hold?.ratePerMinute || !standing?.isActive) return false;
    const rateMicros = toMicros(hold.ratePerMinute);
    const spendable = hold.micros + standing.availableMicros;
    let coveredMs = hold.coveredMs + this.#sliceMs;
    if (costMicros(hold.ratePerMinute, coveredMs) > spendable) {
      coveredMs = Math.floor((spendable * 60) / rateMicros) * 1_000;
    }
    if (coveredMs <= hold.coveredMs) return false;
    hold.coveredMs = coveredMs;
    this.#change(callId, costMicros(hold.ratePerMinute, coveredMs));
    return true;
  }

  /** The call has failed, or is paid. */
  release(callId: string): void {
    if (!this.#holds.has(callId)) return;
    this.#change(callId, 0);
    this.#holds.delete(callId);
  }

  #change(callId: string, micros: number): void {
    const hold = this.#holds.get(callId)!;
    const heldMicros = (this.#heldMicros.get(hold.accountId) ?? 0) + micros - hold.micros;
    hold.micros = micros;
    if (heldMicros > 0) this.#heldMicros.set(hold.accountId, heldMicros);
    else this.#heldMicros.delete(hold.accountId);
  }
}
