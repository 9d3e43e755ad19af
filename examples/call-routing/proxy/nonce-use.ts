// Which counts of which nonces have been used (RFC 7616 §3.4: nc): each serves once, in rising order, so that credentials that
// were read on the way serve no sender again. A few nonces a user; one that makes room for a newer one takes all older ones with
// it, so nothing that was forgotten can come again.
import { detach } from '../sip/kept.ts';

interface Use {
  readonly madeAt: number;
  count: number;
}

interface User {
  readonly nonces: Map<string, Use>;
  /** Nonces made before or at this time serve no more. */
  floor: number;
}

const noncesPerUser = 64;

export class NonceUse {
  readonly #lifetimeMs: number;
  /** By user name, of users that exist: bounded by how many there are. */
  readonly #users = new Map<string, User>();

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** `userName` as the configuration has it. False if it was used, or may have been. */
  take(userName: string, nonce: string, madeAt: number, count: number): boolean {
    let user = this.#users.get(userName);
    if (!user) {
      user = { nonces: new Map(), floor: -1 };
      this.#users.set(userName, user);
    }
    const use = user.nonces.get(nonce);
    if (use) {
      if (count <= use.count) return false;
      use.count = count;
      return true;
    }
    if (madeAt <= user.floor) return false;
    this.#makeRoom(user);
    user.nonces.set(detach([nonce])[0], { madeAt, count });
    return true;
  }

  #makeRoom(user: User): void {
    const tooOld = performance.now() - this.#lifetimeMs;
    for (const [nonce, { madeAt }] of user.nonces) if (madeAt < tooOld) user.nonces.delete(nonce);
    while (user.nonces.size >= noncesPerUser) {
      let oldest: [string, Use] | undefined;
      for (const entry of user.nonces) if (!oldest || entry[1].madeAt < oldest[1].madeAt) oldest = entry;
      user.floor = Math.max(user.floor, oldest![1].madeAt);
      user.nonces.delete(oldest![0]);
    }
  }
}
