// Who gets which events, as far as a module of the user's says it: handlers, projections and integration events that it exports.
// Nothing of them is called but `handles()` and `canHandle()` of a handler, which need no event.

import type { Integration } from '../adapters/kafka/integration.ts';
import { refused } from '../base/foreign-file.ts';
import { own } from '../base/own.ts';
import { tame } from '../base/tame.ts';
import { exportsOf } from '../schemas/load.ts';
import { type EventHandlerLike, subscriptionOf } from '../subscriptions/event-handler.ts';

export interface Reader {
  /** As a catalogue shows it: `handler billing`. */
  readonly title: string;
  /** By names of today and before, today's first. */
  wants(aggregateNames: readonly string[], eventNames: readonly string[]): boolean;
  /** What it is, where it makes integration events. */
  readonly integration?: Mapping;
}

/** What a catalogue asks of an integration. */
export type Mapping = Pick<Integration, 'aggregateType' | 'mapping' | 'whole'>;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Of every export and those in lists that are exported, each once; by title.
 * @throws FileRefused: there is no such file, importing it fails, it exports nothing of the kind, or `handles()` throws
 */
export async function loadReaders(file: string): Promise<Reader[]> {
  const exported = new Set(Object.values(await exportsOf(file)).flat());
  let readers: Reader[];
  try {
    readers = [...exported].flatMap((one) => (typeof one === 'object' && one !== null ? readerOf(one as Fields) : []));
  } catch (error) {
    throw refused(file, `cannot be used: ${tame(error)}`, {}, error);
  }
  if (readers.length > 0) return readers.sort((a, b) => (a.title < b.title ? -1 : 1));
  const reason =
    'exports no handler: export instances with handle() and handlerName, what subscribe() is given, projections, or integrations';
  throw refused(file, reason);
}

function readerOf(given: Fields): Reader[] {
  const { name, handle, handlerName, apply, aggregateType, mapping } = given;
  if (typeof handle === 'function' && typeof handlerName === 'string') {
    return [instance(given as unknown as EventHandlerLike)];
  }
  if (typeof handle === 'function' && typeof name === 'string') return [subscribed('handler', given)];
  if (typeof apply === 'function' && typeof name === 'string') return [subscribed('projection', given)];
  const isMapping = typeof aggregateType === 'string' && typeof mapping === 'object' && mapping !== null;
  return isMapping ? [integrated(given as unknown as Mapping)] : [];
}

function instance(handler: EventHandlerLike): Reader {
  const { where: _, ...subscription } = subscriptionOf(handler) as unknown as Fields;
  const reader = subscribed('handler', subscription);
  const wants: Reader['wants'] = (aggregateNames, eventNames) =>
    reader.wants(aggregateNames, eventNames) && (handler.canHandle?.(eventNames[0]!) ?? true);
  return { title: reader.title, wants };
}

/** What `where` lets through only its function knows. */
function subscribed(kind: string, { name, aggregates, events, where }: Fields): Reader {
  const types = listOf(events);
  const owners = listOf(aggregates).map((one) => (typeof one === 'string' ? one : (one as Fields).name));
  return {
    title: `${kind} ${name}${where === undefined ? '' : ' (some of them)'}`,
    wants: (aggregateNames, eventNames) =>
      (owners.length === 0 || owners.some((one) => aggregateNames.includes(one as string))) &&
      (types.length === 0 || types.includes('*') || types.some((one) => eventNames.includes(one as string))),
  };
}

/** By the name that is stored, and by today's names of events. */
const integrated = (integration: Mapping): Reader => ({
  title: `integration events of ${integration.aggregateType}`,
  integration,
  wants: (aggregateNames, eventNames) =>
    aggregateNames.includes(integration.aggregateType) && eventNames.some((name) => causes(integration, name)),
});

/** Whether events of this type, by its name of today, become integration events. */
export const causes = ({ mapping, whole }: Mapping, eventType: string): boolean =>
  whole !== undefined || own(mapping, eventType) !== undefined;

const listOf = (given: unknown): readonly unknown[] =>
  given === undefined ? [] : Array.isArray(given) ? given : [given];
