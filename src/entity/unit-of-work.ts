// A unit of work over entities: what they raise between its begin and its commit is published after the commit, all of it
// or, on a rollback, nothing. With a client of the user's own, events and the user's tables are one transaction.

import { isNativeError } from 'node:util/types';
import { checkFunction, invalid } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { printAs } from '../base/one-line.ts';
import { caller } from '../base/running.ts';
import type { StoredEvent } from '../model/event.ts';
import { checkLevel, type Level } from '../model/receipt.ts';
import type { TransactionClient } from '../store/store.ts';
import { AggregateRoot, type RaisedEvent } from './aggregate-root.ts';
import { ClientTransaction, type OwnTransaction } from './client-transaction.ts';
import type { EventPublisher, Reserved } from './publisher.ts';
import type { Transactions } from './transactions.ts';

/** A repository that tells which entities it has handed out or saved. */
export interface CollectingRepository {
  /** Called as a unit of work begins: call `collect` with each entity that the repository saves in it. */
  setEventCollector(collect: (entity: AggregateRoot) => void): void;
}

/** What a unit of work commits along with. */
export interface UnitOfWorkOptions {
  transaction?: OwnTransaction | undefined;
  /**
   * Your connected `pg` client: `run` begins a transaction on it, `commit` writes the events into that transaction and
   * commits it. Needs a store in a database of yours. With `transaction` as well, beginning and committing are yours.
   */
  client?: TransactionClient | undefined;
  /** The level that `commit` waits for; default: the runtime's. With `client` the commit itself has stored the events. */
  ack?: Level | undefined;
}

const unitOfWorkFields = fieldsOf<UnitOfWorkOptions>({ transaction: true, client: true, ack: true });

type BeforeHandler = (event: RaisedEvent) => Promise<void> | void;
type AfterHandler = (event: StoredEvent) => Promise<void> | void;

const roundLimit = 100; // handlers before commit may raise further events, so many times

/**
 * ```ts
 * await runtime.unitOfWork().run(async (work) => {
 *   const stock = work.register(new Stock('AAPL'));
 *   stock.reprice('189.20');
 * });
 * ```
 */
export class UnitOfWork implements AsyncDisposable {
  private readonly publisher: EventPublisher;
  private readonly transactions: Transactions;
  private readonly options: UnitOfWorkOptions;
  private readonly transaction: OwnTransaction | undefined;
  private readonly entities = new Set<AggregateRoot>();
  private readonly beforeHandlers: { type: string; handler: BeforeHandler }[] = [];
  private readonly afterHandlers: { type: string; handler: AfterHandler }[] = [];
  private state: 'open' | 'committed' | 'rolled back' = 'open';
  /** From the call of `commit` on: a second one, or a rollback, comes too late. */
  private committing: Promise<readonly StoredEvent[]> | undefined;

  /** @internal Use `runtime.unitOfWork()`. */
  constructor(publisher: EventPublisher, transactions: Transactions, options: UnitOfWorkOptions = {}) {
    checkFields('unitOfWork', options, unitOfWorkFields);
    const { ack, transaction, client } = options;
    if (ack !== undefined) checkLevel('ack', ack);
    if (ack === 'published' && !publisher.hasStream) invalid('ack', ack, 'needs a stream, and none is configured');
    if (client !== undefined) checkFunction('client.query', client?.query);
    if (transaction !== undefined) {
      checkFunction('transaction.commit', transaction?.commit);
      checkFunction('transaction.rollback', transaction?.rollback);
    }
    this.publisher = publisher;
    this.transactions = transactions;
    this.options = options;
    this.transaction = transaction ?? (client && new ClientTransaction(client));
  }

  /** Begin the transaction on the `client`; `run` does it for you. Returns this unit of work. */
  async begin(): Promise<this> {
    this.checkOpen();
    if (this.transaction instanceof ClientTransaction) await this.transaction.begin();
    return this;
  }

  /** Watch an entity: its uncommitted events belong to this unit of work. Returns it. */
  register<E extends AggregateRoot>(entity: E): E {
    this.checkOpen();
    if (!(entity instanceof AggregateRoot)) invalid('entity', entity, 'must extend AggregateRoot');
    this.entities.add(entity);
    return entity;
  }

  /** Watch every entity that a repository passes through its collector. Returns the repository. */
  repository<R extends CollectingRepository>(repository: R): R {
    checkFunction('repository.setEventCollector', repository?.setEventCollector);
    repository.setEventCollector((entity) => this.register(entity));
    return repository;
  }

  /** Handle events (of one type, or `'*'`) before the commit, within the transaction: a failure rolls it back. */
  before(type: string, handler: BeforeHandler): this {
    checkType(type);
    checkFunction('handler', handler);
    this.beforeHandlers.push({ type, handler });
    return this;
  }

  /** Handle events after the commit; a failure is the caller's to see, and undoes nothing. */
  after(type: string, handler: AfterHandler): this {
    checkType(type);
    checkFunction('handler', handler);
    this.afterHandlers.push({ type, handler });
    return this;
  }

  /** Run `work`, then commit; roll back if it throws. */
  async run<T>(work: (unit: UnitOfWork) => Promise<T> | T): Promise<T> {
    await this.begin();
    try {
      const result = await work(this);
      if (this.state === 'open') await (this.committing ?? this.commit());
      return result;
    } catch (error) {
      if (this.state === 'open' && this.committing === undefined) {
        this.state = 'rolled back';
        await this.undo(error);
      }
      throw error;
    }
  }

  /**
   * Handlers before commit, the events themselves if there is a client, the transaction's commit, publishing, handlers
   * after. Returns what was published. What the log would refuse of the events is refused before the transaction's commit;
   * until that has ended, other publishers of these entities' events wait.
   * @throws OutcomeUnknown if the connection broke before the server's reply to COMMIT: the relay will tell
   * @throws RuntimeClosed, UnitOfWorkEnded, and what a handler or the transaction throws: then it is rolled back
   */
  async commit(): Promise<readonly StoredEvent[]> {
    this.checkIdle();
    this.committing = this.end();
    return this.committing;
  }

  private async end(): Promise<readonly StoredEvent[]> {
    const { client } = this.options;
    let versions: readonly number[] = [];
    let raised: readonly RaisedEvent[];
    let reserved: Reserved | undefined;
    try {
      raised = await this.handleBefore();
      this.publisher.admit(); // what cannot be published must not be committed
      const commit = this.publisher.commits.begin('the commit of a unit of work', caller());
      try {
        if (client) versions = await this.transactions.append(client, raised);
        else if (raised.length > 0) reserved = await this.publisher.reserve(raised);
        await commit.run(async () => this.transaction?.commit());
      } finally {
        commit.end();
      }
    } catch (error) {
      reserved?.giveUp();
      this.state = 'rolled back';
      await this.undo(error);
      throw error;
    }
    this.state = 'committed';
    if (raised.length === 0) return [];
    const { ack = this.publisher.ack } = this.options;
    const events = reserved ? (await reserved.publish(ack)).events : this.stored(raised, versions);
    // What has been raised since is uncommitted still.
    for (const entity of this.entities) {
      const last = raised.findLast((event) => isOf(entity, event));
      if (last) entity.markEventsAsCommitted(last.version);
    }
    for (const event of events) {
      for (const { type, handler } of this.afterHandlers) if (type === '*' || type === event.type) await handler(event);
    }
    return events;
  }

  /** Roll back because of `error`, which the caller gets: a rollback that fails as well is logged, and is its cause if it has none. */
  private async undo(error: unknown): Promise<void> {
    try {
      await this.transaction?.rollback();
    } catch (failure) {
      this.publisher.logger.error({ err: failure }, 'the rollback of a unit of work failed');
      if (isNativeError(error) && Object.isExtensible(error) && !('cause' in error)) {
        Object.defineProperty(error, 'cause', { value: failure, writable: true, configurable: true });
      }
    }
  }

  /** Stored by the transaction; their place in the log they get when the relay has come to them. */
  private stored(raised: readonly RaisedEvent[], versions: readonly number[]): readonly StoredEvent[] {
    this.transactions.committed();
    return raised.map((event, i) => Object.freeze({ ...event, version: versions[i]!, position: 0 }));
  }

  /** Forget everything that was raised; nothing is published. */
  async rollback(): Promise<void> {
    this.checkIdle();
    this.state = 'rolled back';
    await this.transaction?.rollback();
  }

  /** Leaving the scope without a commit is a rollback. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.state === 'open' && this.committing === undefined) await this.rollback();
  }

  /** Returns the events that all handlers have seen: these are committed, and no others. */
  private async handleBefore(): Promise<readonly RaisedEvent[]> {
    const handled = new Set<string>();
    for (let round = 0; round < roundLimit; round++) {
      const raised = this.collect();
      const fresh = raised.filter((event) => !handled.has(event.id));
      if (fresh.length === 0) return raised;
      for (const event of fresh) {
        handled.add(event.id);
        for (const { type, handler } of this.beforeHandlers)
          if (type === '*' || type === event.type) await handler(event);
      }
    }
    throw new TrunklineError('HandlerLoopLimit', { rounds: roundLimit });
  }

  private collect(): RaisedEvent[] {
    return [...this.entities].flatMap((entity) => entity.uncommittedEvents);
  }

  private checkOpen(): void {
    if (this.state !== 'open') throw new TrunklineError('UnitOfWorkEnded', { state: this.state });
  }

  private checkIdle(): void {
    this.checkOpen();
    if (this.committing) throw new TrunklineError('UnitOfWorkEnded', { state: 'committing' });
  }
}

/** A handler of no type would never be called. */
function checkType(type: string): void {
  if (typeof type !== 'string' || type === '') invalid('type', type, "must be the type of an event, or '*'");
}

const isOf = (entity: AggregateRoot, event: RaisedEvent): boolean =>
  entity.aggregateType === event.aggregateType && entity.id === event.aggregateId;

printAs(UnitOfWork, () => 'UnitOfWork');
