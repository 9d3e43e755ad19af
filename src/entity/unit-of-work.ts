// A unit of work over entities: what they raise between its begin and its commit is published after the commit, all of it
// or, on a rollback, nothing.
import { checkFunction, checkLevel, invalid } from '../checks.ts';
import { TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import { checkFields, fieldsOf } from '../known-fields.ts';
import type { Level } from '../receipt.ts';
import { AggregateRoot, type RaisedEvent } from './aggregate-root.ts';
import type { EventPublisher } from './publisher.ts';

/** The user's own transaction around the unit of work; without one, publishing is the commit. */
export interface OwnTransaction {
  commit(): Promise<void> | void;
  rollback(): Promise<void> | void;
}

/** A repository that tells which entities it has handed out or saved. */
export interface CollectingRepository {
  setEventCollector(collect: (entity: AggregateRoot) => void): void;
}

/** What a unit of work commits along with. */
export interface UnitOfWorkOptions {
  transaction?: OwnTransaction;
  /** The level that `commit` waits for; default: the runtime's. */
  ack?: Level;
}

const unitOfWorkFields = fieldsOf<UnitOfWorkOptions>({ transaction: true, ack: true });

type BeforeHandler = (event: RaisedEvent) => Promise<void> | void;
type AfterHandler = (event: StoredEvent) => Promise<void> | void;

const roundLimit = 100; // handlers before commit may raise further events; not for ever

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
  private readonly options: UnitOfWorkOptions;
  private readonly entities = new Set<AggregateRoot>();
  private readonly beforeHandlers: { type: string; handler: BeforeHandler }[] = [];
  private readonly afterHandlers: { type: string; handler: AfterHandler }[] = [];
  private state: 'open' | 'committed' | 'rolled back' = 'open';

  /** @internal Use `runtime.unitOfWork()`. */
  constructor(publisher: EventPublisher, options: UnitOfWorkOptions = {}) {
    checkFields('unitOfWork', options, unitOfWorkFields);
    const { ack, transaction } = options;
    if (ack !== undefined) checkLevel('ack', ack);
    if (ack === 'published') invalid('ack', ack, 'needs a stream, and none is configured');
    if (transaction !== undefined) {
      checkFunction('transaction.commit', transaction?.commit);
      checkFunction('transaction.rollback', transaction?.rollback);
    }
    this.publisher = publisher;
    this.options = options;
  }

  /** Watch an entity: its uncommitted events belong to this unit of work. Returns it. */
  register<E extends AggregateRoot>(entity: E): E {
    this.checkOpen();
    if (!(entity instanceof AggregateRoot)) invalid('entity', typeof entity, 'must extend AggregateRoot');
    this.entities.add(entity);
    return entity;
  }

  /** Watch every entity that a repository passes through its collector. Returns the repository. */
  repository<R extends CollectingRepository>(repository: R): R {
    repository.setEventCollector((entity) => this.register(entity));
    return repository;
  }

  /** Handle events (of one type, or `'*'`) before the commit, within the transaction: a failure rolls it back. */
  before(type: string, handler: BeforeHandler): this {
    checkFunction('handler', handler);
    this.beforeHandlers.push({ type, handler });
    return this;
  }

  /** Handle events after the commit; a failure is the caller's to see, and undoes nothing. */
  after(type: string, handler: AfterHandler): this {
    checkFunction('handler', handler);
    this.afterHandlers.push({ type, handler });
    return this;
  }

  /** Run `work`, then commit; roll back if it throws. */
  async run<T>(work: (unit: UnitOfWork) => Promise<T> | T): Promise<T> {
    try {
      const result = await work(this);
      if (this.state === 'open') await this.commit();
      return result;
    } catch (error) {
      if (this.state === 'open') await this.rollback();
      throw error;
    }
  }

  /**
   * Handlers before commit, the transaction's commit, publishing, handlers after. Returns what was published.
   * @throws RuntimeClosed, UnitOfWorkEnded, and what a handler or the transaction throws: then it is rolled back
   */
  async commit(): Promise<readonly StoredEvent[]> {
    this.checkOpen();
    try {
      await this.handleBefore();
      this.publisher.admit(); // what cannot be published must not be committed
      await this.options.transaction?.commit();
    } catch (error) {
      await this.rollback();
      throw error;
    }
    const raised = this.collect();
    this.state = 'committed';
    if (raised.length === 0) return [];
    const receipt = await this.publisher.publishBatch(raised, { ack: this.options.ack });
    for (const entity of this.entities) entity.markEventsAsCommitted();
    for (const event of receipt.events) {
      for (const { type, handler } of this.afterHandlers) if (type === '*' || type === event.type) await handler(event);
    }
    return receipt.events;
  }

  /** Forget everything that was raised; nothing is published. */
  async rollback(): Promise<void> {
    this.checkOpen();
    this.state = 'rolled back';
    await this.options.transaction?.rollback();
  }

  /** Leaving the scope without a commit is a rollback. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.state === 'open') await this.rollback();
  }

  private async handleBefore(): Promise<void> {
    const handled = new Set<string>();
    for (let round = 0; round < roundLimit; round++) {
      const fresh = this.collect().filter((event) => !handled.has(event.id));
      if (fresh.length === 0) return;
      for (const event of fresh) {
        handled.add(event.id);
        for (const { type, handler } of this.beforeHandlers)
          if (type === '*' || type === event.type) await handler(event);
      }
    }
    throw new TrunklineError('EndlessHandlers', { rounds: roundLimit });
  }

  private collect(): RaisedEvent[] {
    return [...this.entities].flatMap((entity) => entity.uncommittedEvents);
  }

  private checkOpen(): void {
    if (this.state !== 'open') throw new TrunklineError('UnitOfWorkEnded', { state: this.state });
  }
}
