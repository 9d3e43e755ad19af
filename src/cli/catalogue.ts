// `trunkline catalogue`: what a module's aggregates declare, for people and for tools that read AsyncAPI, JSON Schema or
// EventCatalog. With --check it writes nothing, and exit code 1 says that what is there is of an older state.

import { type Command, Option } from 'commander';
import { type Format, formats } from '../adapters/kafka/kafka-options.ts';
import { printableJson } from '../base/printable.ts';
import { asyncapiDialects, asyncapiDocument } from '../catalogue/asyncapi.ts';
import { type Catalogue, makeCatalogue } from '../catalogue/catalogue.ts';
import { htmlPage } from '../catalogue/html.ts';
import { jsonSchemaDocument } from '../catalogue/json-schema.ts';
import { markdownFiles } from '../catalogue/markdown.ts';
import { loadReaders } from '../catalogue/readers.ts';
import { checkDocument, checkFolder, type Difference, writeDocument, writeFolder } from '../catalogue/write.ts';
import { Found, type OutputOptions, output, withJson } from '../terminal/output.ts';
import { type CatalogueInput, catalogueInput, type InputWords } from './catalogue-input.ts';
import { fromModule } from './user-code.ts';

interface Options extends OutputOptions, InputWords {
  format: 'json-schema' | 'asyncapi' | 'markdown' | 'html';
  out: string;
  service: string;
  release: string;
  handlers?: string;
  check?: boolean;
}

/** Words that some formats have no place for: in silence they would seem to have been heard. */
const placesOf = [
  { name: 'recordFormat', word: '--record-format', formats: ['asyncapi'] },
  { name: 'release', word: '--release', formats: ['asyncapi', 'markdown', 'html'] },
] as const;

/** What the options of a service say themselves. */
const wordsOfAggregates = [
  { name: 'topicPrefix', word: '--topic-prefix' },
  { name: 'topicTemplate', word: '--topic-template' },
  { name: 'recordFormat', word: '--record-format' },
] as const;

function checkWords({ format, aggregates, config }: Options, command: Command): void {
  if ((aggregates === undefined) === (config === undefined)) {
    command.error('error: name either --aggregates or --config');
  }
  for (const { name, word } of config === undefined ? [] : wordsOfAggregates) {
    if (command.getOptionValueSource(name) !== 'cli') continue;
    command.error(`error: ${word} is for --aggregates; the module of --config says it`);
  }
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
    .option('--aggregates <module>', 'exports the aggregates, and does nothing else when it is loaded')
    .option(
      '--config <module>',
      'in its place: the default export has `aggregates`, `entities`, `stream` of createRuntime',
    )
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
    .option('--handlers <module>', 'exports handlers, projections, integrations: who gets what')
    .option('--check', 'write nothing; exit code 1 where the file or folder is another one')
    .action(async (options: Options, command: Command) => {
      checkWords(options, command);
      const { out, check = false } = options;
      const input = await catalogueInput(options);
      const catalogue = await catalogueOf(options, input);
      const differences =
        options.format === 'markdown' ? folderOf(options, catalogue) : fileOf(options, catalogue, input.format);
      output(options, { out, written: !check, differences }, () => [
        ...differences.map(({ path, what }) => `${path} is ${what}`),
        ...(check ? [differences.length === 0 ? 'nothing differs' : `${out} is of another state`] : []),
        ...(check ? [] : [`${out} is written`]),
      ]);
      if (differences.length > 0) throw new Found();
    });
}

/** Integration events of the stream's, and those that `--handlers` names, each once. */
async function catalogueOf(options: Options, input: CatalogueInput): Promise<Catalogue> {
  const { service, release } = options;
  const { aggregates, stream } = input;
  const dialects = options.format === 'asyncapi' ? asyncapiDialects : undefined;
  const readers = options.handlers === undefined ? undefined : await fromModule(options.handlers, loadReaders);
  const named = readers?.flatMap(({ integration }) => integration ?? []) ?? [];
  const integrations = [...new Set([...input.integrations, ...named])];
  return makeCatalogue(aggregates, { service, release, dialects, stream, readers, integrations });
}

function folderOf({ out, check }: Options, catalogue: Catalogue): Difference[] {
  const files = markdownFiles(catalogue);
  if (check) return checkFolder(out, files);
  writeFolder(out, files);
  return [];
}

function fileOf({ out, check, format }: Options, catalogue: Catalogue, recordFormat: Format): Difference[] {
  const text = format === 'html' ? htmlPage(catalogue) : documentText(catalogue, format, recordFormat);
  if (check) return checkDocument(out, text);
  writeDocument(out, text);
  return [];
}

function documentText(catalogue: Catalogue, format: Options['format'], recordFormat: Format): string {
  const document = format === 'asyncapi' ? asyncapiDocument(catalogue, recordFormat) : jsonSchemaDocument(catalogue);
  return `${printableJson(JSON.stringify(document, undefined, 2))}\n`;
}
