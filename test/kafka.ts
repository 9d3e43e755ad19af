// A real Kafka broker (KRaft, one node) on loopback: started, stopped, killed, frozen and restarted on its data. It ends
// with the process that started it.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kafkaClassPath, servicesFolder } from './java-services.ts';
import { freePorts, startWatched, type Watched } from './watched.ts';

const clusterId = 'dHJ1bmtsaW5lLXRlc3QtMA';
const archive = join(servicesFolder, 'kafka.jsa');
/** What the tool makes of an empty folder: the same for every broker of this node id and cluster. */
const formatted = join(servicesFolder, 'kafka-formatted');

export class Kafka {
  readonly address: string;
  private readonly folder: string;
  private process: Watched | undefined;

  private constructor(folder: string, address: string) {
    this.folder = folder;
    this.address = address;
  }

  /** `settings` go into server.properties, over ours; `formatWords` to the tool that formats its folder. */
  static async start(settings: Record<string, string> = {}, formatWords: readonly string[] = []): Promise<Kafka> {
    const folder = mkdtempSync(join(tmpdir(), 'trunkline-kafka-'));
    const [port, controllerPort] = await freePorts(2);
    writeFileSync(join(folder, 'server.properties'), properties(folder, port!, controllerPort!, settings));
    const kafka = new Kafka(folder, `127.0.0.1:${port}`);
    if (formatWords.length > 0) format(folder, formatWords);
    else formatByCopy(folder);
    await kafka.restart();
    return kafka;
  }

  /** Start again on the same data and port. */
  async restart(): Promise<void> {
    const options = ['-Xmx512m', '-Xms256m', '-XX:+UseSerialGC', ...fast(), '-cp', kafkaClassPath, 'kafka.Kafka'];
    const words = [...options, join(this.folder, 'server.properties')];
    this.process = await startWatched('java', words, /Kafka Server started/);
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.process?.kill();
  }

  /** SIGSTOP, SIGCONT. */
  freeze(): void {
    process.kill(this.process!.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.process!.pid, 'SIGCONT');
  }

  async stop(): Promise<void> {
    await this.process?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Format the folder that `server.properties` in it names. */
function format(folder: string, more: readonly string[] = []): void {
  const words = ['-cp', kafkaClassPath, 'kafka.tools.StorageTool', 'format', '-t', clusterId];
  const file = join(folder, 'server.properties');
  const tool = spawnSync('java', [...fast(), ...words, '-c', file, ...more], { encoding: 'utf8' });
  if (tool.status !== 0) throw new Error(`the broker's folder cannot be formatted: ${tool.stderr}`);
}

/** The tool costs more than a second of CPU time: it runs once, and its result is copied. */
function formatByCopy(folder: string): void {
  if (!existsSync(formatted)) {
    format(folder);
    const own = mkdtempSync(`${formatted}-`);
    cpSync(join(folder, 'data'), own, { recursive: true });
    try {
      renameSync(own, formatted);
    } catch (error) {
      rmSync(own, { recursive: true, force: true });
      if (!existsSync(formatted)) throw error; // else another process was faster
    }
  } else cpSync(formatted, join(folder, 'data'), { recursive: true });
}

/** Once, after the files have come: a broker that writes down which classes it loads. */
export async function archiveClasses(): Promise<void> {
  if (existsSync(archive)) return;
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-kafka-'));
  try {
    const [port, controllerPort] = await freePorts(2);
    const file = join(folder, 'server.properties');
    writeFileSync(file, properties(folder, port!, controllerPort!, {}));
    spawnSync('java', ['-cp', kafkaClassPath, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', file]);
    const words = [`-XX:ArchiveClassesAtExit=${archive}`, '-XX:+UseSerialGC', '-Xmx512m', '-cp', kafkaClassPath];
    const broker = await startWatched('java', [...words, 'kafka.Kafka', file], /Kafka Server started/);
    await broker.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function fast(): string[] {
  return [
    '-XX:TieredStopAtLevel=1',
    ...(existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`, '-Xshare:auto'] : []),
  ];
}

function properties(folder: string, port: number, controller: number, settings: Record<string, string>): string {
  const all: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '2',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'auto.create.topics.enable': 'false',
    // A killed broker may come back only once its last session has run out.
    'broker.session.timeout.ms': '1000',
    'broker.heartbeat.interval.ms': '250',
    'log.retention.check.interval.ms': '60000',
    'log.cleaner.dedupe.buffer.size': '2097152',
    ...settings,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
