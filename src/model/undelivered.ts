// Who hears of messages that were not carried out: the logger, and the user's own function. Host thread.
import { guarded } from '../base/guarded.ts';
import type { Logger } from '../base/logger.ts';
import type { Address, DeliveryEvents, Message } from '../wire/message.ts';
import type { Evolution } from './evolution.ts';
import type { MessageSettings, UndeliveredMessage } from './message-options.ts';

/** `evolution`: messages go by stored names, and who hears of them by names of today. */
export function deliveryEvents(logger: Logger, messages: MessageSettings, evolution: Evolution): DeliveryEvents {
  const today = <A extends Address>(address: A): A => ({
    ...address,
    aggregateType: evolution.todaysType(address.aggregateType),
  });
  const named = (message: Message): Message => ({ ...today(message), sender: message.sender && today(message.sender) });
  const tell = guarded(messages.onUndelivered, (error) => logger.error({ err: error }, 'messages.onUndelivered threw'));
  return {
    refused(message, error) {
      logger.warn({ err: error, ...namesOf(named(message)) }, 'a sent command was refused by its target');
      tell(undelivered(named(message), 'refused', error));
    },
    parked(message, failure) {
      const { error, attempts } = failure ?? {};
      const what = failure
        ? 'a message could not be delivered'
        : 'a message waits behind one that could not be delivered';
      logger.error({ err: error, attempts, ...namesOf(named(message)) }, `${what}; it is a dead letter now`);
      tell(undelivered(named(message), 'dead letter', error));
    },
    heldUp(message, error) {
      logger.warn(
        { err: error, ...namesOf(named(message)) },
        'a message is not delivered yet; the log keeps it, retrying',
      );
    },
  };
}

const namesOf = ({ id: messageId, sender, aggregateType, aggregateId: id, command }: Message): object => ({
  messageId,
  sender,
  aggregateType,
  id,
  command,
});

function undelivered(message: Message, outcome: UndeliveredMessage['outcome'], error: unknown): UndeliveredMessage {
  const { id, sender, aggregateType, aggregateId, command } = message;
  return { id, sender, target: { aggregateType, aggregateId }, command, outcome, error };
}
