// The market behind the trunks: rates move, and bids expire and are placed again, while calls are being routed.
import type { Runtime } from 'trunkline';
import { Bid } from '../domain/bid.ts';
import { fromMicros, toMicros } from '../domain/money.ts';
import type { LiveStates } from './live-states.ts';

const moveEveryMs = 100;
const movesPerExpiry = 10;
const noticeMs = 50;

/** Returns what stops it. */
export function startMarket(
  runtime: Runtime,
  bids: LiveStates<typeof Bid>,
  failed: (error: unknown) => void,
): () => void {
  let moves = 0;
  const raised = new Set<string>();
  const move = async (): Promise<void> => {
    moves++;
    const live = [...bids].filter(([, { status }]) => status === 'live');
    const [id, bid] = live[moves % live.length] ?? [];
    if (!id || !bid) return;
    if (moves % movesPerExpiry !== 0) {
      const factor = raised.delete(id) ? 1 / 1.2 : 1.2;
      if (factor > 1) raised.add(id);
      await runtime.ref(Bid, id).update(fromMicros(Math.round(toMicros(bid.ratePerMinute) * factor)));
      return;
    }
    const { trunk, prefix, ratePerMinute } = bid; // its successor has an id of its own, also after a restart
    await runtime.ref(Bid, `${id.split('#')[0]}#${runtime.newId()}`).place({ trunk, prefix, ratePerMinute });
    await runtime.ref(Bid, id).withdraw(noticeMs);
  };
  const timer = setInterval(() => void move().catch(failed), moveEveryMs).unref();
  return () => clearInterval(timer);
}
