// How long names, ids and keys may be. Any thread. They fit the length fields of a frame (frame.ts), and every store can index
// them.

/** Aggregate types of one runtime: a command names its own by 16 bits. */
export const AGGREGATE_TYPES_LIMIT = 0x1_0000;
/** Bytes of UTF-8. */
export const AGGREGATE_TYPE_BYTES_LIMIT = 100;
export const NAME_BYTES_LIMIT = 100;
export const AGGREGATE_ID_BYTES_LIMIT = 255;
export const IDEMPOTENCY_KEY_BYTES_LIMIT = 255;
