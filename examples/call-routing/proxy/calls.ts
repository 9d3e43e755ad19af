// The calls that run through here, and which dialog each message belongs to (RFC 3261 §12). A dialog is found by who sends, from
// where, and by both tags in their order: with tags swapped, or from another address, there is none. Bounded by calls and by the
// bytes that they keep, and each call by `forksLimit` called parties: further 180s with new tags are not followed.
import { BoundedTable } from '../sip/bounded-table.ts';
import { addressText } from '../sip/matching.ts';
import type { Address, Envelope } from '../sip/message.ts';
import type { Charge } from '../sip/quota.ts';
import { Quota } from '../sip/quota.ts';
import { bytesOfSide } from './sides.ts';

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
  /** A BYE of it has been taken: the first is, however full the tables are. */
  hasHungUp: boolean;
  /** Of a called party: who has sent a BYE into its dialog before it answered, while that BYE has no final answer. */
  earlyBye: 'caller' | 'callee' | undefined;
}

export class LiveCall {
  /** The call aggregate's id. */
  readonly id: string;
  readonly sipCallId: string;
  /** Who pays, and whose share of the tables it is in. What its callees ask has a share beside. */
  readonly account: string;
  readonly calleesSource: string;
  /** Of its account. */
  readonly callsLimit: number;
  readonly caller: Side;
  readonly callees: Map<string, Side> = new Map();
  /** The one that has answered, and `performance.now()` of its 2xx; it is set once. */
  answered: { readonly callee: Side; readonly at: number } | undefined;
  /** The caller has shown that the answer has reached it: by its ACK, or by another request in that dialog. */
  isTaken = false;
  /** Set once, at the first BYE or by the router: the call is charged no further. Resolves when that is on record. */
  ending: Promise<void> | undefined;
  /** It is found no more; see `Calls.remove`. */
  isOver = false;

  constructor(parts: Pick<LiveCall, 'id' | 'sipCallId' | 'account' | 'callsLimit' | 'caller'>) {
    const { id, sipCallId, account, callsLimit, caller } = parts;
    this.id = id;
    this.sipCallId = sipCallId;
    this.account = account;
    this.callsLimit = callsLimit;
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
/** A share of n calls is n times as many bytes, too. */
const bytesPerCall = 8_192;

export class Calls {
  readonly #calls: BoundedTable<LiveCall>;
  readonly #ways = new Map<string, Way>();
  readonly #quota = new Quota();
  readonly #charges = new WeakMap<LiveCall, Charge>();

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

  /** What they keep. */
  get bytes(): number {
    return this.#quota.bytes;
  }

  /** For one more call of this account, if it may have so many. */
  hasRoomFor(account: string, mostCalls: number, bytes: number): boolean {
    const isPlace = this.#calls.hasRoomFor(1) && this.#quota.entriesOf(account) < mostCalls;
    return isPlace && this.#hasBytes(account, mostCalls, bytes);
  }

  has({ callId, fromTag }: Envelope, from: Address): boolean {
    return this.#calls.get(callKey(from, callId, fromTag)) !== undefined;
  }

  add(call: LiveCall, lifetimeMs: number): void {
    const bytes = (bytesOfSide(call.caller) ?? 0) + call.sipCallId.length;
    this.#charges.set(call, this.#quota.charge(call.account, 1, bytes));
    this.#calls.set(keyOf(call), call, lifetimeMs);
  }

  /** A called party has shown itself. False if it is one too many that rings, or looks like another. */
  addCallee(call: LiveCall, callee: Side, hasAnswered: boolean): boolean {
    if (call.answered || call.isOver) return false;
    const [outward, inward] = wayKeys(call, callee);
    if ((!hasAnswered && call.callees.size >= forksLimit) || this.#ways.has(outward) || this.#ways.has(inward))
      return false;
    const bytes = bytesOfSide(callee);
    // The one that answers is followed however full it is: that is one a call.
    if (bytes === undefined || !(hasAnswered || this.#hasBytes(call.account, call.callsLimit, bytes))) return false;
    call.callees.set(callee.tag, callee);
    this.#grow(call, bytes);
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
    for (const callee of call.callees.values()) this.#forgetWay(call, callee);
    this.#charges.get(call)?.release();
  }

  #hasBytes(account: string, mostCalls: number, bytes: number): boolean {
    const { limit } = this.#calls;
    const ofAccount = this.#quota.bytesOf(account) + bytes;
    return ofAccount <= mostCalls * bytesPerCall && this.#quota.bytes + bytes <= limit * bytesPerCall;
  }

  #grow(call: LiveCall, bytes: number): void {
    const charge = this.#charges.get(call);
    charge?.become(charge.bytes + bytes);
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
