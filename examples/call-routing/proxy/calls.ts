// The calls that run through here, and which dialog each message belongs to (RFC 3261 §12). A dialog is found by who sends, from
// where, and by both tags in their order: with tags swapped, or from another address, there is none. Bounded by calls, and each
// call by `forksLimit` called parties: further 180s with new tags are not followed.
import { BoundedTable } from '../sip/bounded-table.ts';
import { addressText } from '../sip/matching.ts';
import type { Address, Envelope } from '../sip/message.ts';
import { Quota } from '../sip/quota.ts';

/** One end of a dialog. */
export interface Side {
  readonly tag: string;
  /** Where its messages come from and go to; a Contact never changes it. */
  readonly address: Address;
  /** From or To as this side writes itself, with its tag. */
  readonly nameAddress: string;
  /** The Route to it behind its address, in the order in which it is passed. */
  readonly routes: readonly string[];
  /** Its Contact: the Request-URI of what is sent to it. */
  target: string;
  /** The CSeq number of its last request; undefined before the first. */
  sequence: number | undefined;
  /** That of its last INVITE: what an ACK of its has to bear. */
  inviteSequence: number | undefined;
}

export class LiveCall {
  /** The call aggregate's id. */
  readonly id: string;
  readonly sipCallId: string;
  /** Who pays, and whose share of the tables it is in. What its callees ask has a share beside. */
  readonly account: string;
  readonly calleesSource: string;
  readonly caller: Side;
  readonly callees: Map<string, Side> = new Map();
  /** The one that has answered, and `performance.now()` of its 2xx; it is set once. */
  answered: { readonly callee: Side; readonly at: number } | undefined;
  /** When a BYE came that is not answered yet: what the call costs counts no further. */
  hungUpAt: number | undefined;
  isOver = false;

  constructor({ id, sipCallId, account, caller }: Pick<LiveCall, 'id' | 'sipCallId' | 'account' | 'caller'>) {
    this.id = id;
    this.sipCallId = sipCallId;
    this.account = account;
    this.calleesSource = `called by ${account}`;
    this.caller = caller;
  }
}

/** A message's place in a call. */
export interface Way {
  readonly call: LiveCall;
  readonly sender: Side;
  readonly receiver: Side;
  readonly sentBy: 'caller' | 'callee';
}

const forksLimit = 8;

export class Calls {
  readonly #calls: BoundedTable<LiveCall>;
  readonly #ways = new Map<string, Way>();
  readonly #quota = new Quota();

  /** `expired` gets each call that has lasted longer than it may. */
  constructor(limit: number, expired: (call: LiveCall) => void) {
    this.#calls = new BoundedTable(limit, (call) => {
      this.#end(call);
      expired(call);
    });
  }

  get size(): number {
    return this.#calls.size;
  }

  /** For one more call of this account, if it may have so many. */
  hasRoomFor(account: string, mostCalls: number): boolean {
    return this.#calls.hasRoomFor(1) && this.#quota.heldBy(account) < mostCalls;
  }

  has({ callId, fromTag }: Envelope, from: Address): boolean {
    return this.#calls.get(callKey(from, callId, fromTag)) !== undefined;
  }

  add(call: LiveCall, lifetimeMs: number): void {
    this.#quota.take(call.account);
    this.#calls.set(keyOf(call), call, lifetimeMs);
  }

  /** A called party has shown itself. False if it is one too many that rings, or not to be told from another. */
  addCallee(call: LiveCall, callee: Side, hasAnswered: boolean): boolean {
    if (call.answered || call.isOver) return false;
    const [outward, inward] = wayKeys(call, callee);
    if ((!hasAnswered && call.callees.size >= forksLimit) || this.#ways.has(outward) || this.#ways.has(inward))
      return false;
    call.callees.set(callee.tag, callee);
    this.#ways.set(outward, { call, sender: call.caller, receiver: callee, sentBy: 'caller' });
    this.#ways.set(inward, { call, sender: callee, receiver: call.caller, sentBy: 'callee' });
    return true;
  }

  /** The other called parties are out; the clock starts, once. */
  answer(call: LiveCall, callee: Side, at: number): void {
    if (call.answered) return;
    call.answered = { callee, at };
    for (const other of call.callees.values()) if (other !== callee) this.#forgetWay(call, other);
  }

  /** Give it another time from now on. */
  keep(call: LiveCall, lifetimeMs: number): void {
    this.#calls.keep(keyOf(call), lifetimeMs);
  }

  /** Where an in-dialog message from this address belongs. */
  find({ callId, fromTag, toTag }: Envelope, from: Address): Way | undefined {
    return this.#ways.get(wayKey(from, callId, fromTag, toTag));
  }

  /** False if it was gone already. */
  remove(call: LiveCall): boolean {
    if (call.isOver) return false;
    this.#calls.delete(keyOf(call));
    this.#end(call);
    return true;
  }

  stop(): void {
    this.#calls.stop();
    this.#ways.clear();
  }

  #end(call: LiveCall): void {
    call.isOver = true;
    this.#quota.release(call.account);
    for (const callee of call.callees.values()) this.#forgetWay(call, callee);
  }

  #forgetWay(call: LiveCall, callee: Side): void {
    call.callees.delete(callee.tag);
    for (const key of wayKeys(call, callee)) this.#ways.delete(key);
  }
}

function keyOf({ caller, sipCallId }: LiveCall): string {
  return callKey(caller.address, sipCallId, caller.tag);
}

function callKey(address: Address, callId: string, callerTag: string): string {
  return `${addressText(address)}\n${callId}\n${callerTag}`;
}

function wayKeys({ caller, sipCallId }: LiveCall, callee: Side): [string, string] {
  return [
    wayKey(caller.address, sipCallId, caller.tag, callee.tag),
    wayKey(callee.address, sipCallId, callee.tag, caller.tag),
  ];
}

/** No header value holds a newline: no two dialogs make one key. */
function wayKey(sender: Address, callId: string, senderTag: string, receiverTag: string): string {
  return `${addressText(sender)}\n${callId}\n${senderTag}\n${receiverTag}`;
}
