// What a command has come to, as one value: so that one comparison, and one way to name places, does for all of it.

import { userJson } from '../../base/json.ts';
import { toWire, type WireError } from '../../base/wire-error.ts';
import { decodeEvent, type StoredEvent } from '../../model/event.ts';
import type { Evolution } from '../../model/evolution.ts';
import { eventsToday } from '../../model/evolved-event.ts';
import { FrameKind, FrameReader } from '../../wire/frame.ts';
import { type Address, sendersIn } from '../../wire/message.ts';

/** A command of another aggregate, sent or asked. */
export interface Sent extends Address {
  readonly command: string;
  readonly input: unknown;
}

/** Fields that a command has nothing to say of are `undefined`: they compare as left out. */
export interface CommandOutcome {
  readonly value?: unknown;
  readonly rejection?: { readonly code: unknown; readonly message: unknown; readonly details: unknown } | undefined;
  /** Any other failure: its code; where the command's own code has thrown, its name. */
  readonly error?: { readonly code: string; readonly name: unknown } | undefined;
  /** As the release to come reads them. */
  readonly events: readonly { readonly type: string; readonly data: unknown }[];
  readonly sent: readonly Sent[];
  readonly asked: readonly Sent[];
}

/** The events and messages of a group. @throws UpcastFailed, UnsupportedEventVersion */
export function framesOf(
  bytes: Buffer,
  start: number,
  count: number,
  evolution: Evolution,
): Pick<CommandOutcome, 'events' | 'sent'> {
  const stored: StoredEvent[] = [];
  const sent: Sent[] = [];
  const frame = new FrameReader(bytes);
  for (let i = 0, at = start; i < count; i++, at = frame.next) {
    frame.at(at);
    if (frame.kind === FrameKind.event) stored.push(decodeEvent(frame, 0));
    else if (frame.kind === FrameKind.message) sent.push(messageOf(frame));
  }
  const events = eventsToday(stored, evolution).map(({ type, data }) => ({ type, data }));
  return { events, sent };
}

function messageOf(frame: FrameReader): Sent {
  const { aggregateType, aggregateId, name, dataJson } = frame;
  return { aggregateType, aggregateId, command: sendersIn(name).command, input: userJson(dataJson) };
}

const nowhere = { aggregateType: '', command: '' };

/** What it has thrown. */
export const thrownFailure = (error: unknown): Pick<CommandOutcome, 'rejection' | 'error'> =>
  wireFailure(toWire(error, nowhere));

/** The same as it comes from a shard. */
export function wireFailure({ kind, code, message, details }: WireError): Pick<CommandOutcome, 'rejection' | 'error'> {
  if (kind === 'rejected') return { rejection: { code, message, details } };
  return { error: { code, name: code === 'CommandFailed' ? (details as { name?: unknown }).name : undefined } };
}
