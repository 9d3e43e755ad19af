// The secret of a log: what it signs with where others can write (a checkpoint in a topic that several services share). It
// stands in the data directory, readable for the service alone, and is durable before anything is signed with it. Any thread.
//
// It goes where the directory goes. A copy, or an earlier copy that was put back, signs as the log does: that there are two
// of it, or that it has gone back, is found by fencing and by positions, never by the signature. A directory that has lost the
// secret believes nothing that was signed before. A signature tells invention, not repetition: what the log has signed once
// can be written again by any user who may write there.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { writeFileDurably } from '../base/durable-file.ts';
import { TrunklineError } from '../base/errors.ts';
import { parseFields, readText } from '../base/foreign-file.ts';
import { randomBytes } from '../base/random.ts';

const secretBytes = 32;

export const secretFile = (dataDir: string): string => join(dataDir, 'log-secret.json');

/** Signs texts; never shows its secret. */
export class Signer {
  readonly #secret: Buffer;

  private constructor(secret: Buffer) {
    this.#secret = secret;
  }

  /** With the secret of the directory's log, made here if there is none. @throws DataDirUnreadable */
  static open(dataDir: string, logId: string): Signer {
    const file = secretFile(dataDir);
    let text: string | undefined;
    try {
      text = readText(file);
    } catch (error) {
      throw unreadable(dataDir, (error as Error).message);
    }
    if (text !== undefined) return new Signer(secretIn(text, dataDir, logId));
    const secret = randomBytes(secretBytes);
    writeFileDurably(file, `${JSON.stringify({ logId, secret: secret.toString('hex') })}\n`);
    return new Signer(secret);
  }

  /** HMAC-SHA-256 of the words; lists of different words never sign alike. */
  sign(words: readonly (string | number)[]): string {
    return createHmac('sha256', this.#secret).update(JSON.stringify(words)).digest('base64url');
  }

  hasSigned(words: readonly (string | number)[], signature: unknown): boolean {
    if (typeof signature !== 'string') return false;
    const [given, right] = [Buffer.from(signature), Buffer.from(this.sign(words))];
    return given.length === right.length && timingSafeEqual(given, right);
  }
}

function secretIn(text: string, dataDir: string, logId: string): Buffer {
  const { secret, logId: of } = parseFields(text);
  if (typeof secret !== 'string' || !/^[0-9a-f]{64}$/.test(secret)) throw unreadable(dataDir, 'it holds no secret');
  if (of !== logId) throw unreadable(dataDir, `it is not the secret of log ${logId}`);
  return Buffer.from(secret, 'hex');
}

function unreadable(dataDir: string, why: string): TrunklineError {
  const reason = `${secretFile(dataDir)}: ${why}; put it back from a copy of the directory`;
  return new TrunklineError('DataDirUnreadable', { dataDir, reason });
}
