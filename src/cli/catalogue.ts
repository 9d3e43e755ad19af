// `trunkline catalogue`: what a module's aggregates declare, for people and for tools that read AsyncAPI, JSON Schema or
// EventCatalog. With --check it writes nothing, and exit code 1 says that what is there is of an older state.

import { type Command, Option } from 'commander';
import { type Format, formats } from '../adapters/kafka/kafka-options.ts';
import { resolveTopics } from '../adapters/kafka/settings.ts';
import { declaredTopics, topicNaming } from '../adapters/kafka/topics.ts';
import { printableJson } from '../base/printable.ts';
import { asyncapiDialects, asyncapiDocument } from '../catalogue/asyncapi.ts';
import { type Catalogue, type CatalogueOptions, makeCatalogue } from '../catalogue/catalogue.ts';
import { htmlPage } from '../catalogue/html.ts';
import { jsonSchemaDocument } from '../catalogue/json-schema.ts';
import { markdownFiles } from '../catalogue/markdown.ts';
import { loadReaders } from '../catalogue/readers.ts';
import { checkDocument, checkFolder, type Difference, writeDocument, writeFolder } from '../catalogue/write.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { declaredEvents } from '../model/catalogue.ts';
import { loadAggregates } from '../schemas/load.ts';
import { Found, type OutputOptions, output, withJson } from '../terminal/output.ts';
import { inWords } from './in-words.ts';
import { fromModule } from './user-code.ts';

interface Options extends OutputOptions {
  aggregates: string;
  format: 'json-schema' | 'asyncapi' | 'markdown' | 'html';
  out: string;
  service: string;
  release: string;
  topicPrefix?: string;
  topicTemplate?: string;
  recordFormat: Format;
  handlers?: string;
  check?: boolean;
}

/** Words that some formats have no place for: in silence they would seem to have been heard. */
const placesOf = [
  { name: 'handlers', word: '--handlers', formats: ['markdown', 'html'] },
  { name: 'recordFormat', word: '--record-format', formats: ['asyncapi'] },
  { name: 'release', word: '--release', formats: ['asyncapi', 'markdown', 'html'] },
] as const;

function checkPlaces({ format }: Options, command: Command): void {
  for (const { name, word, formats } of placesOf) {
    const isGiven = command.getOptionValueSource(name) === 'cli';
    if (!isGiven || (formats as readonly string[]).includes(format)) continue;
    const list = formats.join(', ').replace(/, (\w+)$/, ' and $1');
    command.error(`error: ${word} is for ${list}; ${format} has no place for it`);
  }
}

/** Add the command to a program. */
export function addCatalogue(program: Command): void {
  withJson(program.command('catalogue'))
    .description('write a catalogue of all events: names, versions, schemas, examples, topics, commands')
    .requiredOption('--aggregates <module>', 'exports the aggregates, and does nothing else when it is loaded')
    .addOption(
      new Option('--format <format>', 'what to make')
        .choices(['json-schema', 'asyncapi', 'markdown', 'html'])
        .makeOptionMandatory(),
    )
    .requiredOption('--out <path>', 'the file, or the folder of markdown, which you commit')
    .option('--service <name>', 'whose events these are', 'events')
    .option('--release <version>', "the document's own version", '1.0.0')
    .option('--topic-prefix <prefix>', 'topics.prefix of kafka(); this or the template gives the topics')
    .option('--topic-template <template>', 'topics.template of kafka()')
    .addOption(
      new Option('--record-format <format>', 'format of kafka(): what asyncapi says of records')
        .choices(formats)
        .default('trunkline'),
    )
    .option('--handlers <module>', 'exports handlers, projections, integrations: who gets what, in markdown and html')
    .option('--check', 'write nothing; exit code 1 where the file or folder is another one')
    .action(async (options: Options, command: Command) => {
      checkPlaces(options, command);
      const { out, check = false } = options;
      const aggregates = await fromModule(options.aggregates, loadAggregates);
      const catalogue = makeCatalogue(aggregates, await catalogueOptions(options, aggregates));
      const differences = options.format === 'markdown' ? folderOf(options, catalogue) : fileOf(options, catalogue);
      output(options, { out, written: !check, differences }, () => [
        ...differences.map(({ path, what }) => `${path} is ${what}`),
        ...(check ? [differences.length === 0 ? 'nothing differs' : `${out} is of another state`] : []),
        ...(check ? [] : [`${out} is written`]),
      ]);
      if (differences.length > 0) throw new Found();
    });
}

/** @throws InvalidOptions, in the words of the command: a topic that Kafka would not take, as a start does */
async function catalogueOptions(options: Options, aggregates: readonly AnyAggregate[]): Promise<CatalogueOptions> {
  const { service, release, topicPrefix: prefix, topicTemplate: template } = options;
  const dialects = options.format === 'asyncapi' ? asyncapiDialects : undefined;
  const readers = options.handlers === undefined ? undefined : await fromModule(options.handlers, loadReaders);
  const known = { service, release, dialects, readers };
  if (prefix === undefined && template === undefined) return known;
  return inWords(topicWords, async () => {
    const settings = resolveTopics({ prefix, template });
    const topicOf = await topicNaming(settings);
    declaredTopics(declaredEvents(aggregates), topicOf, settings);
    return { ...known, topicOf };
  });
}

/** By what kafka() calls them. */
const topicWords = {
  'stream.topics': '--topic-prefix, --topic-template',
  'stream.topics.prefix': '--topic-prefix',
  'stream.topics.template': '--topic-template',
};

function folderOf({ out, check }: Options, catalogue: Catalogue): Difference[] {
  const files = markdownFiles(catalogue);
  if (check) return checkFolder(out, files);
  writeFolder(out, files);
  return [];
}

function fileOf({ out, check, format, recordFormat }: Options, catalogue: Catalogue): Difference[] {
  const text = format === 'html' ? htmlPage(catalogue) : documentText(catalogue, format, recordFormat);
  if (check) return checkDocument(out, text);
  writeDocument(out, text);
  return [];
}

function documentText(catalogue: Catalogue, format: Options['format'], recordFormat: Format): string {
  const document = format === 'asyncapi' ? asyncapiDocument(catalogue, recordFormat) : jsonSchemaDocument(catalogue);
  return `${printableJson(JSON.stringify(document, undefined, 2))}\n`;
}
