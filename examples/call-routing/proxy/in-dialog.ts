// Requests inside a dialog, to its other side: to where that was met, with its own Contact and Route, whatever the request says.
// Each side's CSeq only rises. A BYE in the dialog that was answered ends the call at both ends and in the books, whoever answers
// it with what. A BYE in another dialog of the call (before the answer, or to another phone that rang) ends that dialog only: the
// call is charged on. One that crosses the answer ends the call by BYEs of the router's own, since its sender meant the ringing.
import type { Verdict } from '../sip/endpoint-user.ts';
import type { Address, ReceivedRequest, ReceivedResponse, SipHeader } from '../sip/message.ts';
import { makeHeader } from '../sip/message.ts';
import type { ServerTransaction } from '../sip/server-transaction.ts';
import type { Way } from './calls.ts';
import { forwardRequest, forwardResponse, hopsLeft } from './forward.ts';
import type { ProxyParts } from './proxy.ts';
import { refreshTargets, sequenceLimit } from './sides.ts';
import { sendBye, tearDown } from './teardown.ts';

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
    if (envelope.sequence >= sequenceLimit) return { kind: 'answer', status: 400, isKnown: true };
    if (envelope.sequence <= (sender.sequence ?? -1)) return { kind: 'answer', status: 500, isKnown: true }; // RFC 3261 §12.2.2
    const source = sourceOf(way);
    const isEnding = method === 'BYE' && isAnswered(way) && !sender.hasHungUp;
    const begin = (transaction: ServerTransaction, receivedAt: number): void => {
      if (isEnding) sender.hasHungUp = true;
      this.#forward(transaction, way, receivedAt, isEnding);
    };
    return { kind: 'take', source, isInDialog: true, isEnding, begin };
  }

  #forward(transaction: ServerTransaction, way: Way, receivedAt: number, isEnding: boolean): void {
    const { endpoint } = this.#parts;
    const { request } = transaction;
    const { sender, receiver } = way;
    sender.sequence = request.envelope.sequence;
    if (transaction.isInvite) sender.inviteSequence = request.envelope.sequence;
    const isHangUp = request.method === 'BYE' && isAnswered(way);
    if (isHangUp) way.call.hungUpAt ??= receivedAt;
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
      // It goes on, and is charged on.
      if (isHangUp) way.call.hungUpAt = undefined;
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
    if (request.method === 'BYE' && status >= 200 && isAnswered(way)) {
      // Who asks for credentials gets its BYE once more, and talks until then; any other answer is the end.
      if (status === 401 || status === 407) way.call.hungUpAt = undefined;
      else {
        // What does not say that the dialog is gone may come from one that has not understood, and talks on.
        if (isHangUp && !isAccepted && status !== 481) {
          sendBye(this.#parts.endpoint, way.call, way.receiver, way.sender);
        }
        await this.#end(way, isHangUp);
      }
    }
    transaction.respond(forwardResponse(response, request));
  }

  async #giveUp(transaction: ServerTransaction, way: Way, isHangUp: boolean): Promise<void> {
    if (transaction.request.method === 'BYE' && isAnswered(way)) {
      // What the sender has written may be why the other side has dropped it, and talks on: it gets a plain one.
      if (isHangUp && !way.call.isOver) sendBye(this.#parts.endpoint, way.call, way.receiver, way.sender);
      await this.#end(way, isHangUp);
    }
    transaction.respondWith(408, this.#parts.endpoint.names.nextTag());
  }

  /** A BYE from before the answer says nothing about what either side does now: both get one of the router's. */
  async #end({ call, sentBy }: Way, isHangUp: boolean): Promise<void> {
    if (!isHangUp && !call.isOver) tearDown(this.#parts.endpoint, call);
    await this.#parts.ended(call, sentBy);
  }
}

/** In whose share of the tables the request is. */
function sourceOf({ call, sentBy }: Way): string {
  return sentBy === 'caller' ? call.account : call.calleesSource;
}

/** Whether this is the dialog that the call is charged for. */
function isAnswered({ call, sender, receiver, sentBy }: Way): boolean {
  return call.answered?.callee === (sentBy === 'caller' ? receiver : sender);
}
