// Aggregates whose events the store has refused: what their actors held from the first refused event on was not the
// store's state. The caller tells the shard in the command ring, before any later command; the shard drops the actor, and
// says so in its event ring. What a shard answered in between was decided on that state. Host thread.
//
// Invariants: one fence for each time that an actor was alive beside the store; a receipt that lies behind the first
// refused event, and was read before the shard's word, is never `stored`.
import { TrunklineError } from '../base/errors.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import { GroupKind } from '../shared/ring/ring.ts';
import { FrameKind } from '../wire/frame.ts';
import type { CommandWrite, ShardChannel } from './shard-channel.ts';

/** An event that the store has refused. */
export interface Refused {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly position: number;
  readonly reason: string;
}

interface Fence {
  readonly number: number;
  readonly typeIndex: number;
  readonly refused: Refused;
  channel: ShardChannel;
  isSent: boolean;
  /** Receipts with a lower number were read before the shard had dropped the actor. */
  beforeReceipt: number;
  /** Where the shard's word stands in the log. */
  endPosition: number;
}

const keptLimit = 65_536;

export class Fences {
  private readonly latest = new Map<string, Fence>();
  private readonly open = new Map<number, Fence>();
  private numbers = 0;
  private receipts = 0;

  /** The number of the next receipt. */
  nextReceipt(): number {
    return ++this.receipts;
  }

  /** Tell the shard behind `line`, unless it knows of this time already. */
  add(typeIndex: number, refused: Refused, channel: ShardChannel): void {
    const key = keyOf(refused);
    const known = this.latest.get(key);
    if (known !== undefined && known.endPosition > refused.position) return;
    const fence: Fence = {
      number: ++this.numbers,
      typeIndex,
      refused,
      channel,
      isSent: false,
      beforeReceipt: Number.POSITIVE_INFINITY,
      endPosition: Number.POSITIVE_INFINITY,
    };
    this.latest.delete(key);
    this.latest.set(key, fence);
    this.open.set(fence.number, fence);
    for (const [oldest] of this.latest) {
      if (this.latest.size <= keptLimit) break;
      this.latest.delete(oldest);
    }
    channel.tell(writeOf(fence), () => {});
  }

  /** Another shard takes over: it hears of what the dead one may not have done, before any command. */
  resend(dead: ShardChannel, next: ShardChannel): void {
    for (const fence of this.open.values()) {
      if (fence.channel !== dead) continue;
      fence.channel = next;
      fence.isSent = false;
      next.tell(writeOf(fence), () => {});
    }
  }

  /** The shard has dropped the actor; its word is the last frame at `position`. */
  concluded(number: number, position: number): void {
    const fence = this.open.get(number);
    if (fence === undefined) return;
    this.open.delete(number);
    fence.beforeReceipt = this.receipts + 1;
    fence.endPosition = position;
  }

  /** Why a receipt of this aggregate is not `stored`, although it has raised nothing that was refused; mostly undefined. */
  refusal(type: string, id: string, receipt: number, lastPosition: number): TrunklineError | undefined {
    if (this.latest.size === 0) return undefined;
    const fence = this.latest.get(keyOf({ aggregateType: type, aggregateId: id }));
    if (fence === undefined || receipt >= fence.beforeReceipt || lastPosition < fence.refused.position)
      return undefined;
    const { aggregateType, aggregateId, version, position, reason } = fence.refused;
    return new TrunklineError('Quarantined', { aggregateType, aggregateId, version, position, reason });
  }
}

const keyOf = ({ aggregateType, aggregateId }: Pick<Refused, 'aggregateType' | 'aggregateId'>): string =>
  `${aggregateType}\0${aggregateId}`;

/** Once, however often it is called. */
function writeOf(fence: Fence): CommandWrite {
  return (ring) => {
    if (fence.isSent) return;
    const { typeIndex, refused, number } = fence;
    ring.frame(FrameKind.message, typeIndex, refused.position, refused.version, '', refused.aggregateId, '', '', '');
    ring.publish(GroupKind.fence, 0, number, 0, '');
    fence.isSent = true;
  };
}

/**
 * Of what the store refused in an earlier run: the first of each aggregate that no shard has answered for, as far as the log
 * reaches.
 */
export function unanswered(refused: readonly Refused[], log: LogSource, to: number): Refused[] {
  const open = new Map<string, Refused>();
  const first = log.firstPosition();
  for (const one of refused) {
    const key = keyOf(one);
    if (one.position >= first && !open.has(key)) open.set(key, one);
  }
  if (open.size === 0) return [];
  const from = Math.min(...[...open.values()].map(({ position }) => position));
  eachFrame(log, from, to, (frame, position) => {
    if (frame.kind !== FrameKind.receipt || frame.name !== '') return;
    const key = keyOf({ aggregateType: frame.aggregateType, aggregateId: frame.aggregateId });
    const one = open.get(key);
    if (one !== undefined && position > one.position) open.delete(key);
  });
  return [...open.values()];
}
