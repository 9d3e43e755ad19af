// Idempotency keys that are bound to who has sent them. A client that sends a known key gets the first
// outcome; where keys come from clients, one client could guess another's. So the key that shard, log and store know is made
// of both: a prefix, a hash of the principal (of fixed length, so that no two pairs give one key), and the key as it was given.
import { hash } from 'node:crypto';
import { IDEMPOTENCY_KEY_BYTES_LIMIT } from '../base/name-limits.ts';

const prefix = 'by\u0001';
/** 132 bits in base64url. */
const hashLength = 22;

export const PRINCIPAL_BYTES_LIMIT = 1024;
/** Of a key that is given with a principal. */
export const BOUND_KEY_BYTES_LIMIT: number = IDEMPOTENCY_KEY_BYTES_LIMIT - prefix.length - hashLength;

/** Without a principal no key may look like this. */
export const isBoundKey = (key: string): boolean => key.startsWith(prefix);

export const boundKey = (principal: string, key: string): string =>
  prefix + hash('sha256', principal, 'base64url').slice(0, hashLength) + key;

/** The key as its sender knows it. */
export const givenKey = (key: string): string => (isBoundKey(key) ? key.slice(prefix.length + hashLength) : key);
