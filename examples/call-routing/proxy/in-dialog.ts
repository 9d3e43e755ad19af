// Requests inside a dialog, to its other side: to where that was met, with its own Contact and Route, whatever the request says.
// Each side's CSeq only rises. The first BYE in the dialog that was answered ends the charging when it arrives; the call is gone at
// the first final answer to a BYE, or when none has come in time, and no answer keeps it. A BYE in another dialog of the call
// (before the answer, or to another phone that rang) ends that dialog only: the call is charged on. One that the answer crosses
// ends the call by BYEs of the router's own (see `Side.earlyBye`), since its sender meant the ringing.
import type { Verdict } from '../sip/endpoint-user.ts';
import type { Address, ReceivedRequest, ReceivedResponse, SipHeader } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Side, Way } from './calls.ts';
import { forwardRequest, forwardResponse, hopsLeft } from './forward.ts';
import type { ProxyParts } from './proxy.ts';
import { refreshTargets, sequenceLimit } from './sides.ts';
import { sendBye } from './teardown.ts';

/** What passes inside a dialog. A REFER to a trunk would place a call there that was not decided on, and that no account pays for. */
const methods = ['INVITE', 'ACK', 'CANCEL', 'BYE', 'OPTIONS', 'INFO', 'UPDATE', 'PRACK'];
export const allow: SipHeader = makeHeader('Allow', methods.join(', '));

export class InDialog {
  readonly #parts: ProxyParts;
  /** For the re-INVITEs that are waiting for an answer: what a CANCEL does. */
  readonly #cancels = new WeakMap<ServerTransaction, () => void>();

  constructor(parts: ProxyParts) {
    this.#parts = parts;
  }

  admit({ envelope, method }: ReceivedRequest, from: Address): Verdict {
    const way = this.#parts.calls.find(envelope, from);
    if (!way) return { kind: 'answer', status: 481 };
    const { sender } = way;
    if (!methods.includes(method)) return { kind: 'answer', status: 405, headers: [allow], isKnown: true };
    if (envelope.sequence >= sequenceLimit) {
      if (method === 'BYE') this.#endRefused(way);
      return { kind: 'answer', status: 400, isKnown: true };
    }
    if (envelope.sequence <= (sender.sequence ?? -1)) return { kind: 'answer', status: 500, isKnown: true }; // RFC 3261 §12.2.2
    const source = sourceOf(way);
    const isEnding = method === 'BYE' && isAnswered(way) && !sender.hasHungUp;
    const begin = (transaction: ServerTransaction, receivedAt: number): void => {
      if (isEnding) sender.hasHungUp = true;
      this.#forward(transaction, way, receivedAt, isEnding);
    };
    return { kind: 'take', source, isInDialog: true, isEnding, begin };
  }

  /** A BYE that the router itself does not pass on: its sender has hung up all the same. */
  refused({ envelope }: ReceivedRequest, from: Address): void {
    const way = this.#parts.calls.find(envelope, from);
    if (way) this.#endRefused(way);
  }

  #endRefused(way: Way): void {
    if (!isAnswered(way)) return;
    way.sender.hasHungUp = true;
    void this.#end(way, false);
  }

  #forward(transaction: ServerTransaction, way: Way, receivedAt: number, isEnding: boolean): void {
    const { endpoint } = this.#parts;
    const { request } = transaction;
    const { sender, receiver } = way;
    sender.sequence = request.envelope.sequence;
    if (transaction.isInvite) sender.inviteSequence = request.envelope.sequence;
    if (way.sentBy === 'caller' && isAnswered(way)) way.call.isTaken = true;
    const isHangUp = request.method === 'BYE' && isAnswered(way);
    if (isHangUp) void this.#parts.ended(way.call, way.sentBy, receivedAt);
    else if (request.method === 'BYE') calleeOf(way).earlyBye = way.sentBy;
    const branch = endpoint.names.nextBranch();
    const hop = { self: endpoint.address, branch, uri: receiver.target, routes: receiver.routes };
    const outgoing = forwardRequest(request, { ...hop, recordRoute: transaction.isInvite });
    const client = endpoint.request(outgoing, branch, receiver.address, {
      source: sourceOf(way),
      isEnding,
      response: (response) => void this.#relay(transaction, response, way, isHangUp),
      timeout: () => void this.#giveUp(transaction, way, isHangUp),
    });
    if (!client) {
      this.#earlyByeIsOver(way);
      transaction.respondWith(503, endpoint.names.nextTag());
    } else if (transaction.isInvite) {
      this.#cancels.set(transaction, () => {
        if (client.hasProvisional && !client.isFinal) endpoint.cancel(client, branch, receiver.address);
      });
    }
  }

  cancel(invite: ServerTransaction): void {
    this.#cancels.get(invite)?.();
  }

  /** False if it belongs to no INVITE of a dialog here. */
  acknowledge(request: ReceivedRequest, from: Address): boolean {
    const { endpoint, calls } = this.#parts;
    const way = calls.find(request.envelope, from);
    if (!way || !hopsLeft(request) || request.envelope.sequence !== way.sender.inviteSequence) return false;
    if (way.sentBy === 'caller' && isAnswered(way)) way.call.isTaken = true;
    const { target: uri, routes, address } = way.receiver;
    const hop = { self: endpoint.address, branch: endpoint.names.nextBranch(), uri, routes, recordRoute: false };
    endpoint.send(forwardRequest(request, hop), address);
    return true;
  }

  async #relay(transaction: ServerTransaction, response: ReceivedResponse, way: Way, isHangUp: boolean): Promise<void> {
    const { request } = transaction;
    const { status } = response;
    if (status === 100) return;
    const isAccepted = status >= 200 && status < 300;
    if (isAccepted && ['INVITE', 'UPDATE'].includes(request.method)) {
      refreshTargets(request, response, way.sender, way.receiver);
    }
    if (request.method === 'BYE' && status >= 200) {
      if (isHangUp) await this.#end(way, isAccepted || status === 481);
      else this.#earlyByeIsOver(way);
      if (way.call.isOver && asksForAnother(status)) {
        transaction.respondWith(481, this.#parts.endpoint.names.nextTag());
        return;
      }
    }
    transaction.respond(forwardResponse(response, request));
  }

  async #giveUp(transaction: ServerTransaction, way: Way, isHangUp: boolean): Promise<void> {
    if (isHangUp) await this.#end(way, false);
    else if (transaction.request.method === 'BYE') this.#earlyByeIsOver(way);
    transaction.respondWith(408, this.#parts.endpoint.names.nextTag());
  }

  /**
   * A BYE has its final answer, or gets none. Who has not said that the dialog is gone, and has sent no BYE, may not have understood
   * what the other side has written, and talks on: it gets a plain one. Resolves when the end of the call is on record.
   */
  async #end({ call, sender, receiver, sentBy }: Way, isGone: boolean): Promise<void> {
    const { calls, endpoint, ended } = this.#parts;
    if (calls.remove(call) && !isGone && !receiver.hasHungUp) sendBye(endpoint, call, receiver, sender);
    await ended(call, sentBy, performance.now());
  }

  /** If the call was answered meanwhile, that has ended it, or will when it is on record. */
  #earlyByeIsOver(way: Way): void {
    if (!isAnswered(way)) calleeOf(way).earlyBye = undefined;
  }
}

/**
 * A redirection or a challenge: the sender would send its BYE once more, into a dialog that is gone. 481 says so; a sender that
 * gets it takes the dialog for terminated (RFC 3261 §15.1.1).
 */
function asksForAnother(status: number): boolean {
  return (status >= 300 && status < 400) || status === 401 || status === 407;
}

/** In whose share of the tables the request is. */
function sourceOf({ call, sentBy }: Way): string {
  return sentBy === 'caller' ? call.account : call.calleesSource;
}

/** Whether this is the dialog that the call is charged for. */
function isAnswered(way: Way): boolean {
  return way.call.answered?.callee === calleeOf(way);
}

function calleeOf({ sender, receiver, sentBy }: Way): Side {
  return sentBy === 'caller' ? receiver : sender;
}
