// A catalogue as one page that works opened as a file: nothing is fetched, and a policy in its head lets no script and no style
// run but the two below, whatever stands in names, descriptions and examples.

import { createHash } from 'node:crypto';
import {
  type Catalogue,
  type CatalogueAggregate,
  type CatalogueEvent,
  type CatalogueVersion,
  topicsOf,
} from './catalogue.ts';
import { Keys } from './keys.ts';
import { script, style } from './page-script.ts';
import { html, htmlLines, jsonText } from './text.ts';

export function htmlPage({ service, release, aggregates }: Catalogue): string {
  const keys = new Keys();
  const count = aggregates.reduce((sum, { events }) => sum + events.length, 0);
  const title = html(`Events of ${service}`);
  const lines = [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${title}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    `<h1>${title} <small>${html(release)}</small></h1>`,
    '<p><label>Search <input type="search" placeholder="names, fields, topics" autofocus></label>',
    `<output>${count} of ${count} events</output></p>`,
    ...aggregates.flatMap((one) => aggregateLines(service, one, keys)),
    `<script>${script}</script>`,
    '</body>',
    '</html>',
  ];
  return `${lines.join('\n')}\n`;
}

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const policy = `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; base-uri 'none'; form-action 'none'`;

function aggregateLines(service: string, aggregate: CatalogueAggregate, keys: Keys): string[] {
  const { name, kind, storedName, formerNames, commands, retired, events, integration } = aggregate;
  return [
    '<section>',
    `<h2 id="${keys.of(name)}">${html(name)}</h2>`,
    ...list([
      [`Producer: ${kind} of`, [service]],
      ['Former names', formerNames],
      ['Stored as', storedName === name ? [] : [storedName]],
      ['Commands', commands],
      ['Retired event types', retired],
      ['Integration events by default in', integration?.topic === undefined ? [] : [integration.topic]],
      ['Integration events are made of', integration?.causes ?? []],
    ]),
    ...events.flatMap((event) => eventLines(service, aggregate, event, keys.of(name, event.type))),
    '</section>',
  ];
}

function eventLines(service: string, aggregate: CatalogueAggregate, event: CatalogueEvent, key: string): string[] {
  const { name, kind } = aggregate;
  const { type, schemaVersion, formerNames, splits, topics = [], readers = [], versions } = event;
  const pasts = splits.map((split) => split.type);
  const made = integrationOf(aggregate, type);
  const words = [name, type, ...formerNames, ...pasts, ...topics, ...readers, ...made, ...versions.flatMap(fieldsOf)];
  const find = [...new Set(words)].map((word) => html(word.toLowerCase())).join('\n');
  return [
    `<details id="${key}" data-find="${find}">`,
    `<summary>${html(type)} <small>version ${schemaVersion}</small></summary>`,
    ...list([
      ['Producer', [`${kind} ${name}`, `service ${service}`]],
      ['Former names', formerNames],
      ['In place of, or as one of several', pasts],
      ['Topics', topics],
      ['Read by', readers],
      ['Becomes', made],
    ]),
    ...versions.toReversed().flatMap((version) => versionLines(`Version ${version.schemaVersion}`, version)),
    ...splits.flatMap((split) =>
      split.versions.flatMap((version) =>
        versionLines(`${split.type} of the past, version ${version.schemaVersion}`, version),
      ),
    ),
    '</details>',
  ];
}

function integrationOf({ integration }: CatalogueAggregate, type: string): string[] {
  if (!integration?.causes.includes(type)) return [];
  return [integration.topic === undefined ? 'integration events' : `integration events in ${integration.topic}`];
}

function versionLines(title: string, { payload, example, isRead, records }: CatalogueVersion): string[] {
  const topics = topicsOf(records);
  const names = [...new Set(records?.map(({ type }) => type))];
  return [
    `<h3>${html(title)}${isRead ? '' : ' <small>read no more</small>'}</h3>`,
    ...(topics?.length === 0 ? ['<p>In no topic.</p>'] : []),
    ...list([
      ['In topics', topics ?? []],
      ['There as', names],
    ]),
    ...('schema' in payload
      ? [`<pre>${htmlLines(jsonText(payload.schema))}</pre>`]
      : [`<p>No JSON Schema: ${html(payload.reason)}</p>`]),
    ...(example === undefined ? [] : ['<p>Example:</p>', `<pre>${htmlLines(jsonText(example.value))}</pre>`]),
  ];
}

function list(rows: readonly (readonly [what: string, names: readonly string[]])[]): string[] {
  const shown = rows.filter(([, names]) => names.length > 0);
  if (shown.length === 0) return [];
  const codes = (names: readonly string[]): string => names.map((name) => `<code>${html(name)}</code>`).join(', ');
  return ['<ul>', ...shown.map(([what, names]) => `<li>${what}: ${codes(names)}</li>`), '</ul>'];
}

/** Names of a payload's own fields. */
function fieldsOf({ payload }: CatalogueVersion): string[] {
  const properties = 'schema' in payload ? payload.schema.properties : undefined;
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
}
