// Where a key goes: murmur2 of its bytes, as Kafka's own Java clients place it, so that consumers may join topics by key,
// and so that changing the client library moves no aggregate.

const seed = 0x9747b28c;
const multiplier = 0x5bd1e995;

/** Kafka's variant of MurmurHash2, 32 bits, signed. */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes;
  let hash = seed ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    word = Math.imul(word, multiplier);
    word = Math.imul(word ^ (word >>> 24), multiplier);
    hash = Math.imul(hash, multiplier) ^ word;
  }
  const rest = length - i;
  if (rest === 3) hash ^= bytes[i + 2]! << 16;
  if (rest >= 2) hash ^= bytes[i + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[i]!, multiplier);
  hash = Math.imul(hash ^ (hash >>> 13), multiplier);
  return hash ^ (hash >>> 15);
}

/** The partition of a key. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions;
}
