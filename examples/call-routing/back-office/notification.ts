// NotificationHandler, as a class: tells people of what they have to know. The key lets the receiver drop repetitions.
import { type Delivery, EventHandler, type StoredEvent } from 'trunkline';

export interface Notification {
  readonly key: string;
  readonly text: string;
}

export class NotificationHandler extends EventHandler {
  override readonly handlerName = 'NotificationHandler';
  readonly #notify: (notification: Notification) => Promise<void> | void;

  constructor(notify: (notification: Notification) => Promise<void> | void) {
    super();
    this.#notify = notify;
  }

  override handles(): readonly string[] {
    return ['CallCompleted', 'BidWon', 'ComplianceViolationDetected'];
  }

  async handle({ type, aggregateId }: StoredEvent, { effectKey }: Delivery): Promise<void> {
    await this.#notify({ key: effectKey, text: `${type} ${aggregateId}` });
  }
}
