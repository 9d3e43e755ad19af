// The aggregate as the given events have left it.

import { checkInteger } from '../base/checks.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { own } from '../base/own.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { Actor } from '../shard/actor.ts';
import { actorTypeOf } from '../shard/actor-type.ts';
import { evolveFrame } from '../shard/evolve.ts';
import { freezeState } from '../shard/frozen.ts';
import { StagedGroup } from '../shared/ring/group.ts';
import { FrameKind, FrameReader } from '../wire/frame.ts';
import { writeNewId } from '../wire/ids.ts';
import { toJson } from '../wire/payload.ts';

interface WrittenEvent {
  type: string;
  data: unknown;
  schemaVersion?: number;
}

const givenEventFields = fieldsOf<WrittenEvent>({ type: 'text', data: 'any', schemaVersion: true });

/** The actor after these events, which go through frames as stored ones do, and bear the date of now. */
export function replay(definition: AnyAggregate, id: string, events: readonly WrittenEvent[], nowMs: number): Actor {
  const type = actorTypeOf(definition, 0);
  const { name } = type;
  const actor = new Actor(type, id, freezeState(definition.state()), 0, 0);
  const group = new StagedGroup(64 << 20);
  for (const [i, event] of events.entries()) {
    checkFields(`given[${i}]`, event, givenEventFields);
    const { type: eventType, data } = event;
    group.clear();
    const newest = own(definition.events as AnyAggregate['events'], eventType)?.schemaVersion ?? 1;
    const { schemaVersion = newest } = event;
    checkInteger(`given[${i}].schemaVersion`, schemaVersion, 1, 65_535);
    const json = toJson(data, eventType);
    const offset = group.frame(FrameKind.event, schemaVersion, nowMs, actor.version + 1, name, id, eventType, '', json);
    writeNewId(group.frames.bytes, offset + 16, nowMs);
    actor.state = freezeState(evolveFrame(definition, actor.state, new FrameReader(group.frames.bytes).at(offset), id));
    actor.version++;
  }
  return actor;
}
