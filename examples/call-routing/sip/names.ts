// Tags and branches: random, unrelated to each other, so that one that was seen says nothing of another. A branch also bears a
// mark that only this endpoint can make: a request that comes back is known by it, without a table.
import { Buffer } from 'node:buffer';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** RFC 3261 §8.1.1.7: every branch of a client that keeps to the RFC begins with it. */
const cookie = 'z9hG4bK';
const randomLength = 22;
const markLength = 11;

export class Names {
  readonly #secret = randomBytes(32);

  nextTag(): string {
    return randomBytes(16).toString('base64url');
  }

  nextBranch(): string {
    const random = randomBytes(16).toString('base64url');
    return `${cookie}${random}${this.#mark(random)}`;
  }

  /** The tag of an answer that leaves no state behind: the same for each copy of the request (RFC 3261 §8.2.7). */
  tagFor(request: string): string {
    return this.#hmac(`tag\n${request}`).slice(0, randomLength);
  }

  isOwnBranch(branch: string): boolean {
    if (branch.length !== cookie.length + randomLength + markLength || !branch.startsWith(cookie)) return false;
    const mark = Buffer.from(branch.slice(-markLength), 'latin1');
    const expected = Buffer.from(this.#mark(branch.slice(cookie.length, -markLength)), 'latin1');
    return timingSafeEqual(mark, expected);
  }

  #mark(random: string): string {
    return this.#hmac(`branch\n${random}`).slice(0, markLength);
  }

  #hmac(text: string): string {
    return createHmac('sha256', this.#secret).update(text, 'latin1').digest('base64url');
  }
}
