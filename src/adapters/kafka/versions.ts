// In which versions events are published, and by which names: by the user's words, against what is declared. An event that is
// not named goes out as it is stored. Needs no function of the definitions: those that make the versions are in shapes.ts.

import { TrunklineError } from '../../base/errors.ts';
import type { EventDeclaration, EventVersion } from '../../model/event.ts';
import type { KafkaSettings } from './kafka-options.ts';

type Chosen = KafkaSettings['versions'];

/** One record of an event: the name that it has there, and the version of its payload. */
export interface Form {
  readonly type: string;
  readonly schemaVersion: number;
}

/** What consumers of the topics see. */
export class Published {
  /** Events as they are published: one declaration for each name and version. */
  readonly events: readonly EventDeclaration[];
  /** Of those that are chosen, by stored aggregate type and by each name of the event. */
  private readonly forms = new Map<string, Map<string, readonly Form[]>>();

  /** @throws InvalidOptions for a name or version that is not declared, or cannot be made */
  constructor(events: readonly EventDeclaration[], versions: Chosen) {
    for (const name of Object.keys(versions)) {
      if (events.some((event) => isNamed(event, name))) continue;
      invalid(`'${name}' is no event of the runtime's aggregates, nor a name that one had`);
    }
    this.events = events.flatMap((event) => {
      const forms = formsFor(event, versions);
      if (forms.length === 0) return [event];
      const byName = this.forms.get(event.aggregateType) ?? new Map<string, readonly Form[]>();
      for (const name of namesOf(event)) byName.set(name, forms);
      this.forms.set(event.aggregateType, byName);
      return forms.map((form) => declaredAs(event, form));
    });
  }

  /** The records of an event, by stored names. undefined: one, as it is stored. */
  formsOf(aggregateType: string, type: string): readonly Form[] | undefined {
    return this.forms.get(aggregateType)?.get(type);
  }
}

const namesOf = ({ type, names = [type] }: EventDeclaration): readonly string[] => names;

const versionsOf = ({ schemaVersion, versions }: EventDeclaration): readonly EventVersion[] =>
  versions ?? [{ schemaVersion, hasDown: false }];

/** The event's own name in a word of the user's, which may begin with its aggregate's; undefined: it means another event. */
function nameIn(event: EventDeclaration, word: string): string | undefined {
  const { aggregateType, aggregateNames = [aggregateType] } = event;
  return namesOf(event).find((name) => word === name || aggregateNames.some((one) => word === `${one}.${name}`));
}

const isNamed = (event: EventDeclaration, word: string): boolean => nameIn(event, word) !== undefined;

function formsFor(event: EventDeclaration, versions: Chosen): Form[] {
  const forms: Form[] = [];
  for (const [word, chosen] of Object.entries(versions)) {
    const type = nameIn(event, word);
    if (type === undefined) continue;
    for (const schemaVersion of chosen) {
      checkReachable(event, word, schemaVersion);
      if (forms.some((one) => one.type === type && one.schemaVersion === schemaVersion)) {
        invalid(`version ${schemaVersion} of '${word}' is there twice`);
      }
      forms.push({ type, schemaVersion });
    }
  }
  return forms;
}

/** Older events come by `up`, which each version has; newer ones by `down`, which it may have. */
function checkReachable(event: EventDeclaration, word: string, wanted: number): void {
  const versions = versionsOf(event);
  const [oldest, newest] = [versions[0]!.schemaVersion, event.schemaVersion];
  if (wanted < oldest || wanted > newest) {
    invalid(`'${word}' has no version ${wanted}: it can be read in ${oldest} to ${newest}`);
  }
  const missing = versions.findLast(({ schemaVersion, hasDown }) => schemaVersion > wanted && !hasDown);
  if (missing === undefined) return;
  const { schemaVersion } = missing;
  const step = `from version ${schemaVersion} back to ${schemaVersion - 1}`;
  invalid(`'${word}' cannot be published in version ${wanted}: no \`down\` leads ${step}`);
}

function declaredAs(event: EventDeclaration, { type, schemaVersion }: Form): EventDeclaration {
  const { jsonSchema: _newest, versions, names: _all, ...rest } = event;
  const declared = { ...rest, type, schemaVersion };
  const version = versions?.find((one) => one.schemaVersion === schemaVersion);
  return version?.jsonSchema === undefined ? declared : { ...declared, jsonSchema: version.jsonSchema };
}

function invalid(reason: string): never {
  throw new TrunklineError('InvalidOptions', { option: 'stream.versions', reason });
}
