// What `trunkline catalogue` is made of: a module's aggregates with words for the topics, or the options of `createRuntime`, which
// say it all.

import type { Integration } from '../adapters/kafka/integration.ts';
import { checkIntegrations } from '../adapters/kafka/integrations.ts';
import type { Format, KafkaSettings } from '../adapters/kafka/kafka-options.ts';
import { resolveTopics } from '../adapters/kafka/settings.ts';
import { isMadeBy } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { Hidden } from '../base/hidden.ts';
import { type PublishedStream, publishedStream } from '../catalogue/published.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { checkAggregates, checkEntities } from '../model/aggregates-option.ts';
import type { RuntimeOptions } from '../runtime/options.ts';
import { exportsOf, loadAggregates } from '../schemas/load.ts';
import { inWords } from './in-words.ts';
import { fromModule } from './user-code.ts';

export interface InputWords {
  aggregates?: string;
  config?: string;
  topicPrefix?: string;
  topicTemplate?: string;
  recordFormat: Format;
}

export interface CatalogueInput {
  /** With the entities. */
  readonly aggregates: readonly AnyAggregate[];
  /** Undefined: it is not known where events go. */
  readonly stream: PublishedStream | undefined;
  readonly format: Format;
  /** As the stream has them. */
  readonly integrations: readonly Integration[];
}

/** @throws FileRefused, InvalidOptions */
export function catalogueInput(words: InputWords): Promise<CatalogueInput> {
  return words.config === undefined ? fromWords(words) : fromConfig(words.config);
}

async function fromWords(words: InputWords): Promise<CatalogueInput> {
  const { topicPrefix: prefix, topicTemplate: template, recordFormat: format } = words;
  const aggregates = await fromModule(words.aggregates!, loadAggregates);
  const known = { aggregates, format, integrations: [] };
  if (prefix === undefined && template === undefined) return { ...known, stream: undefined };
  const stream = await inWords(topicWords, () =>
    publishedStream({ topics: resolveTopics({ prefix, template }), versions: {}, publishing: {} }, aggregates),
  );
  return { ...known, stream };
}

/** By what kafka() calls them. */
const topicWords = {
  'stream.topics': '--topic-prefix, --topic-template',
  'stream.topics.prefix': '--topic-prefix',
  'stream.topics.template': '--topic-template',
};

async function fromConfig(config: string): Promise<CatalogueInput> {
  const { default: options } = (await fromModule(config, exportsOf)) as { default?: Partial<RuntimeOptions> };
  const { aggregates, entities = [], stream } = options ?? {};
  if (aggregates === undefined) {
    const reason = "its module's default export must have `aggregates`";
    throw new TrunklineError('InvalidOptions', { option: '--config', reason });
  }
  checkAggregates(aggregates, undefined);
  checkEntities(entities, aggregates);
  const all = [...aggregates, ...entities];
  const given: unknown = stream?.options;
  // Of a stream that is not made by kafka() nothing is known.
  if (!isMadeBy(Hidden<KafkaSettings>, given)) {
    return { aggregates: all, stream: undefined, format: 'trunkline', integrations: [] };
  }
  const settings = given.reveal();
  const { format, integration } = settings;
  const integrations =
    integration === undefined ? [] : checkIntegrations((await fromModule(integration, exportsOf)).default);
  return { aggregates: all, stream: await publishedStream(settings, all), format, integrations };
}
