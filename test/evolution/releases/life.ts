// What has happened over all releases, and the machine on which a release lives: it acts, and its handler is heard.
import type { Projection, Runtime, StoredEvent, Subscription } from '../../../src/index.ts';
import { administer } from '../../postgres.ts';
import { type Action, eventsOf, type Fact, type Shape, versionOf } from './model.ts';
import { type Place, project, type Release, startRelease, subscribe } from './service.ts';

export interface Handled {
  id: string;
  order: string;
  shape: Shape;
}

export const shapeOf = ({ type, schemaVersion, data }: StoredEvent): Shape => [type, schemaVersion, data];

export class Life {
  readonly facts: Fact[] = [];
  readonly handled: Handled[] = [];
  /** Rows of the store as the server writes them, by the event's id. */
  private readonly rows = new Map<string, string>();

  get orders(): string[] {
    return [...new Set(this.facts.map(({ order }) => order))].sort();
  }

  of(order: string): Fact[] {
    return this.facts.filter((fact) => fact.order === order);
  }

  /** The machine that has written to an order last. */
  writerOf(order: string): string | undefined {
    return this.of(order).at(-1)?.at;
  }

  readonly hear = (event: StoredEvent): void =>
    void this.handled.push({ id: event.id, order: event.aggregateId, shape: shapeOf(event) });

  /** Everything as this release reads it, of one order or all. */
  readBy(release: number, facts: readonly Fact[] = this.facts): Shape[] {
    return facts.flatMap(({ action }) => eventsOf(release, action));
  }

  /** How many rows there are; the ids of those that are gone or not as they were at the last call. */
  async compareRows(connectionString: string): Promise<{ count: number; changed: string[] }> {
    const found = await administer(connectionString, 'select id, e::text as row from trunkline.domain_events e');
    const now = new Map<string, string>(found.map(({ id, row }) => [id, row]));
    const changed = [...this.rows].filter(([id, row]) => now.get(id) !== row).map(([id]) => id);
    for (const [id, row] of now) this.rows.set(id, row);
    return { count: now.size, changed };
  }
}

/** One release on one machine. */
export class Machine {
  readonly runtime: Runtime;
  readonly release: Release;
  private readonly life: Life;
  private readonly dataDir: string;
  private handler: Subscription | undefined;
  private carts: Projection<{ items: number }> | undefined;

  private constructor(runtime: Runtime, release: Release, dataDir: string, life: Life) {
    this.dataDir = dataDir;
    this.runtime = runtime;
    this.release = release;
    this.life = life;
    this.handler = subscribe(runtime, release, life.hear);
  }

  static async start(release: Release, place: Place, life: Life): Promise<Machine> {
    return new Machine(await startRelease(release, place), release, place.dataDir, life);
  }

  /** With a table of its own. */
  project(): void {
    this.carts = project(this.runtime, this.release);
  }

  async act(order: string, ...actions: Action[]): Promise<void> {
    const { number } = this.release;
    for (const action of actions) {
      const version = await this.command(order, action);
      const handledBy = this.handler === undefined ? number + 1 : number;
      this.life.facts.push({ order, action, by: number, handledBy, at: this.dataDir });
      if (version !== versionOf(this.life.of(order)))
        throw new Error(`${order}: version ${version} after ${action[0]}`);
    }
  }

  private async command(order: string, [command, ...input]: Action): Promise<number> {
    if ((this.life.writerOf(order) ?? this.dataDir) !== this.dataDir) await this.takeOver(order);
    const receipt = await this.runtime.command(this.release.Order.name, order, command, input);
    return (receipt as { version: number }).version;
  }

  /** Another machine has written since: an answer for which `stored` is asked is refused, and the aggregate is loaded anew. */
  private async takeOver(order: string): Promise<void> {
    const look = () => this.runtime.command(this.release.Order.name, order, 'look', [], { ack: 'stored' });
    await look().catch((error: { code: string }) => {
      if (error.code !== 'Quarantined') throw error;
      return look();
    });
  }

  /** Until all that was raised is stored, handled and published. */
  async settle(): Promise<void> {
    const { written } = this.runtime.status();
    await this.handler?.caughtUpTo(written);
    await this.carts?.caughtUpTo(written);
    await this.runtime.reached('published');
  }

  /** From now on the next release handles what is raised. */
  async stopHandling(): Promise<void> {
    await this.handler?.close();
    this.handler = undefined;
  }

  async end(): Promise<void> {
    await this.runtime.reached('published');
    await this.runtime.close();
  }
}
