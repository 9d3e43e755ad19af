// What a subscription does at a time, and where that may lead. Owned by the host thread.
//
//   starting ────▶ catching up ◀────▶ live     live: it has read history up to the feed, and has room for what that offers
//      │               ▲ │              │
//      │               │ ▼              │
//      ├────────────▶ held ◀────────────┘      a user asks it to pause, resume or reset: what is executed ends first
//      │              ▲ │  ▲
//      │              │ ▼  │
//      └───────────▶ paused  stopped           resume and reset take again what stopped it
//
//   catching up, live, held, paused ──▶ stopped   an event cannot be handled, or there are too many dead letters
//   all but failed and closed ──▶ failed          it cannot begin, read, or keep where it stands: final in this run
//   all but failed ──▶ closed                     what was executed has ended: final
//
// Invariants: events are taken while it is catching up or live, and the feed knows it while it is live. That it is paused is kept
// with its checkpoint: one that is stopped or held may be paused as well.
import type { SubscriptionState } from './handlers.ts';

export type Mode = SubscriptionState | 'held';

const next: Readonly<Record<Mode, readonly Mode[]>> = {
  starting: ['catching up', 'paused', 'held', 'failed', 'closed'],
  'catching up': ['live', 'held', 'stopped', 'failed', 'closed'],
  live: ['catching up', 'held', 'stopped', 'failed', 'closed'],
  held: ['catching up', 'paused', 'stopped', 'failed', 'closed'],
  paused: ['held', 'stopped', 'failed', 'closed'],
  stopped: ['held', 'failed', 'closed'],
  failed: [],
  closed: [],
};

export const mayLead = (from: Mode, to: Mode): boolean => next[from].includes(to);

/** As users see it. */
export function stateOf(mode: Mode, isPaused: boolean): SubscriptionState {
  if (mode !== 'held') return mode;
  return isPaused ? 'paused' : 'catching up';
}
