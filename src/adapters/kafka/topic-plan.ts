// What `trunkline topics` does: compare the topics of a stream with the cluster, and bring them there when asked. Runs in
// whatever process asks; needs no runtime.

import { revealed } from '../../base/hidden.ts';
import type { StreamOptions } from '../../flush/sink-options.ts';
import type { EventDeclaration } from '../../model/event.ts';
import { connect } from './connect.ts';
import type { KafkaSettings } from './kafka-options.ts';
import type { StreamClient, TopicSpec } from './stream.ts';
import { type Drift, declaredTopics, driftOf, eventTopic, ownTopics, topicNaming } from './topics.ts';
import { Published } from './versions.ts';

/** A drift, and whether `apply` can do something about it. */
export interface PlannedChange extends Drift {
  /** Undefined if it can; else why not. */
  obstacle: string | undefined;
}

/** What differs. */
export function planTopics(stream: StreamOptions, events: readonly EventDeclaration[]): Promise<PlannedChange[]> {
  return withClient(stream, events, async (client, specs) =>
    (await compare(client, specs)).flatMap(({ changes }) => changes),
  );
}

/** Change what can be changed; returns what it was. */
export function applyTopics(stream: StreamOptions, events: readonly EventDeclaration[]): Promise<PlannedChange[]> {
  return withClient(stream, events, async (client, specs) => {
    const plans = await compare(client, specs);
    const missing = plans.filter(({ changes }) => changes.some(({ what }) => what === 'missing'));
    if (missing.length > 0) await client.createTopics(missing.map(({ spec }) => spec));
    for (const plan of plans) {
      if (missing.includes(plan)) continue;
      const possible = plan.changes.filter(({ obstacle }) => obstacle === undefined);
      if (possible.length === 0) continue;
      const partitions = possible.find(({ what }) => what === 'partitions');
      const settings = possible.filter((change) => change !== partitions).map(({ what, wanted }) => [what, wanted]);
      await client.changeTopic(plan.spec.topic, partitions && plan.spec.partitions, Object.fromEntries(settings));
    }
    return plans.flatMap(({ changes }) => changes);
  });
}

async function withClient<T>(
  stream: StreamOptions,
  events: readonly EventDeclaration[],
  work: (client: StreamClient, specs: readonly TopicSpec[]) => Promise<T>,
): Promise<T> {
  const settings = revealed(stream.options) as KafkaSettings;
  const { events: published } = new Published(events, settings.versions);
  const topics = declaredTopics(published, await topicNaming(settings.topics), settings.topics);
  const specs = [...topics.map((topic) => eventTopic(topic, settings.topics)), ...ownTopics(settings.topics)];
  const client = await connect(settings);
  try {
    return await work(client, specs);
  } finally {
    await client.close();
  }
}

async function compare(
  client: StreamClient,
  specs: readonly TopicSpec[],
): Promise<{ spec: TopicSpec; changes: PlannedChange[] }[]> {
  const found = await client.describeTopics(specs.map(({ topic }) => topic));
  return specs.map((spec) => {
    const changes = driftOf(spec, found.get(spec.topic)).map((drift) => ({ ...drift, obstacle: obstacleTo(drift) }));
    return { spec, changes };
  });
}

function obstacleTo({ what, wanted, found }: Drift): string | undefined {
  if (what === 'partitions' && Number(wanted) < Number(found)) return 'Kafka takes no partitions away';
  if (what === 'replicationFactor') return 'needs a reassignment of partitions';
  return undefined;
}
