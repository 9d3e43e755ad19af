// How a delivery to a handler has ended, retries included.

export type Outcome =
  | { kind: 'done' }
  | { kind: 'failed'; error: unknown; attempts: number }
  /** The runtime waits no longer. */
  | { kind: 'abandoned' };
