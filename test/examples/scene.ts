// What the router's tests share: a router on the real runtime in a folder of its own, a caller, and two trunks.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredEvent } from 'trunkline';
import { expect } from 'vitest';
import type { Router, RouterOptions } from '../../examples/call-routing/routing/router.ts';
import { startRouter } from '../../examples/call-routing/routing/router.ts';
import { headerValue } from '../../examples/call-routing/sip/message.ts';
import type { Timers } from '../../examples/call-routing/sip/timers.ts';
import { makeTimers } from '../../examples/call-routing/sip/timers.ts';
import type { InviteOptions } from './phone.ts';
import { fresh, inviteText, laterText, Phone } from './phone.ts';

/** For what is waited for by looking again and again. */
export const patience: { timeout: number } = { timeout: 20_000 };

export class Scene implements AsyncDisposable {
  readonly dataDir: string;
  ann: Phone;
  readonly cheap: Phone;
  readonly dear: Phone;
  router!: Router;

  private constructor(dataDir: string, [ann, cheap, dear]: [Phone, Phone, Phone]) {
    this.dataDir = dataDir;
    this.ann = ann;
    this.cheap = cheap;
    this.dear = dear;
  }

  static async open(timers?: Timers, options: Partial<RouterOptions> = {}): Promise<Scene> {
    const dataDir = await mkdtemp(join(tmpdir(), 'routing-test-'));
    const scene = new Scene(dataDir, await Promise.all([Phone.open(), Phone.open(), Phone.open()]));
    await scene.startRouter(timers, options);
    return scene;
  }

  get port(): number {
    return this.router.address.port;
  }

  async startRouter(timers: Timers = makeTimers(), options: Partial<RouterOptions> = {}): Promise<void> {
    const { dataDir, cheap, dear } = this;
    this.router = await startRouter({
      timers,
      dataDir,
      listen: { host: '127.0.0.1', port: 0 },
      trunks: { cheap: { host: '127.0.0.1', port: cheap.port }, dear: { host: '127.0.0.1', port: dear.port } },
      admission: { peers: [{ host: '127.0.0.1', accounts: ['ann', 'poor', 'late', 'ghost'] }] },
      provision: {
        accounts: [
          { id: 'ann', name: 'Ann', deposit: '10.00', creditLimit: '5.00' },
          { id: 'poor', name: 'Poor', deposit: '0.05', creditLimit: '0.10' },
          { id: 'late', name: 'Late', deposit: '10.00', creditLimit: '0.00', suspended: 'unpaid' },
        ],
        bids: [
          { id: 'dear-44', trunk: 'dear', prefix: '44', ratePerMinute: '0.12' },
          { id: 'cheap-44', trunk: 'cheap', prefix: '44', ratePerMinute: '0.1' },
          { id: 'elsewhere-44', trunk: 'elsewhere', prefix: '44', ratePerMinute: '0.01' },
          { id: 'dear-49', trunk: 'dear', prefix: '49', ratePerMinute: '3.00' },
        ],
      },
      ...options,
    });
  }

  async restartRouter(): Promise<void> {
    await this.router.stop();
    await this.startRouter();
  }

  /** Another phone for the caller: what still comes to the old one disturbs nobody. */
  async renewCaller(): Promise<void> {
    await this.ann[Symbol.asyncDispose]();
    this.ann = await Phone.open();
  }

  invite(options: Partial<InviteOptions> = {}): string {
    return inviteText({ from: 'ann', to: '4412', port: this.ann.port, ...options });
  }

  options(): string {
    return this.invite({ callId: fresh('options') }).replaceAll('INVITE', 'OPTIONS');
  }

  /** A call up to its ACK. */
  async establish(callId: string): Promise<{ text: string; to: string; routes: string[] }> {
    const { ann, cheap, port } = this;
    const text = this.invite({ callId });
    ann.send(text, port);
    const arrived = await cheap.request('INVITE', callId);
    cheap.answer(arrived, 180, port);
    cheap.answer(arrived, 200, port);
    const ok = await ann.response(200);
    const routes = ok.headers.filter(({ key }) => key === 'record-route').map(({ value }) => `Route: ${value}`);
    const to = headerValue(ok, 'to')!;
    ann.send(laterText('ACK', text, { to, sequence: 1, headers: routes }), port);
    await cheap.request('ACK', callId);
    return { text, to, routes };
  }

  async events(): Promise<StoredEvent[]> {
    const events: StoredEvent[] = [];
    for await (const event of this.router.events()) events.push(event);
    return events;
  }

  /** Of the call, and of what it caused elsewhere. */
  async eventsOf(sipCallId: string): Promise<StoredEvent[]> {
    const events = await this.events();
    const created = events.filter(({ type, data }) => {
      return type === 'CallCreated' && (data as { sipCallId: string }).sipCallId === sipCallId;
    });
    const ids = new Set(created.map(({ aggregateId }) => aggregateId));
    return events.filter(({ aggregateId, data }) => {
      return ids.has(aggregateId) || ids.has((data as { callId: string }).callId);
    });
  }

  async typesOf(sipCallId: string): Promise<string[]> {
    const events = await this.eventsOf(sipCallId);
    return events.filter(({ aggregateType }) => aggregateType === 'call').map(({ type }) => type);
  }

  async failureOf(sipCallId: string): Promise<unknown> {
    return (await this.eventsOf(sipCallId)).find(({ type }) => type === 'CallFailed')?.data;
  }

  /** Consequences in other aggregates follow soon after. */
  async untilTypes(sipCallId: string, ...types: string[]): Promise<StoredEvent[]> {
    const hasAll = (events: StoredEvent[]): boolean =>
      types.every((type) => events.some((event) => event.type === type));
    await expect.poll(async () => hasAll(await this.eventsOf(sipCallId)), patience).toBe(true);
    return this.eventsOf(sipCallId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.router.stop();
    await Promise.all([this.ann, this.cheap, this.dear].map((phone) => phone[Symbol.asyncDispose]()));
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
