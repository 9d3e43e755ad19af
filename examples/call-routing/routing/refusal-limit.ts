// How many calls of an account that are not answered are written a minute: refused here, refused by the trunk, cancelled, or rung out.
// They cost nothing, and each is some events, so an account that goes on and on must not fill the log for all others. Calls that ring
// count until they are answered: many at once are no way around. Each answered call, which is paid for, makes room for a few more
// that are not. By account, of accounts that may call.
const windowMs = 60_000;
/** A caller of whose calls one in five is answered is never refused. */
const perAnswered = 4;

interface Lately {
  unanswered: number;
  answered: number;
}

export class RefusalLimit {
  readonly #perMinute: number;
  /** The calls that are placed, and not answered or over yet. */
  readonly #ringing = new Map<string, string>();
  readonly #ringingOf = new Map<string, number>();
  #lately = new Map<string, Lately>();
  #before = new Map<string, Lately>();
  #windowEndsAt = 0;
  /** Calls that were refused without being written. */
  unrecorded = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /**
   * `refused`: so many calls of this account were not answered lately that this one is not looked at. `known`: this call is being
   * placed already.
   */
  begin(callId: string, accountId: string, now: number = performance.now()): 'begun' | 'known' | 'refused' {
    if (now >= this.#windowEndsAt) this.#turn(now);
    if (this.#ringing.has(callId)) return 'known';
    const { unanswered = 0, answered = 0 } = this.#lately.get(accountId) ?? {};
    const room = this.#perMinute + perAnswered * (answered + (this.#before.get(accountId)?.answered ?? 0));
    const ringing = this.#ringingOf.get(accountId) ?? 0;
    if (unanswered + ringing >= room) {
      this.unrecorded++;
      return 'refused';
    }
    this.#ringing.set(callId, accountId);
    this.#ringingOf.set(accountId, ringing + 1);
    return 'begun';
  }

  /** `unwritten`: nothing of it is in the log. */
  end(callId: string, how: 'answered' | 'unanswered' | 'unwritten'): void {
    const accountId = this.#ringing.get(callId);
    if (accountId === undefined) return;
    this.#ringing.delete(callId);
    const left = this.#ringingOf.get(accountId)! - 1;
    if (left > 0) this.#ringingOf.set(accountId, left);
    else this.#ringingOf.delete(accountId);
    if (how === 'unwritten') return;
    const lately = this.#lately.get(accountId) ?? { unanswered: 0, answered: 0 };
    lately[how]++;
    this.#lately.set(accountId, lately);
  }

  #turn(now: number): void {
    this.#before = now < this.#windowEndsAt + windowMs ? this.#lately : new Map();
    this.#lately = new Map();
    this.#windowEndsAt = now + windowMs;
  }
}
