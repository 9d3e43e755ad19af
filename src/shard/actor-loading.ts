// How actors come to a shard, and why they may have to leave again. Most are loaded at once; one that has to be asked for
// elsewhere is there already, with a mailbox in which its commands wait, as behind an asynchronous one.
import { Actor, type ActorType } from './actor.ts';
import type { ActorCache } from './actor-cache.ts';
import type { Command } from './command.ts';
import type { Loader } from './loader.ts';
import { Mailbox } from './mailbox.ts';

export interface ActorLoadingEvents {
  /** An actor that had to be asked for is there, or could not be had: its mailbox, if there is anything in it, next. */
  arrived(actor: Actor): void;
  refused(command: Command, type: ActorType, error: unknown): void;
  /** What went wrong in one of the above. */
  failed(error: unknown): void;
}

export class ActorLoading {
  private readonly loader: Loader;
  private readonly actorCache: ActorCache;
  private readonly mailboxLimit: number;
  private readonly events: ActorLoadingEvents;

  constructor(loader: Loader, actorCache: ActorCache, mailboxLimit: number, events: ActorLoadingEvents) {
    this.loader = loader;
    this.actorCache = actorCache;
    this.mailboxLimit = mailboxLimit;
    this.events = events;
  }

  /** An actor that is not here yet. `isPublished` tells whether the log has all that the shard has said so far. Throws what refuses it. */
  bring(type: ActorType, id: string, now: number, isPublished: () => boolean): Actor {
    const actor = this.loader.load(type, id) ?? this.fetch(type, id, isPublished);
    this.actorCache.add(actor, now);
    return actor;
  }

  private fetch(type: ActorType, id: string, isPublished: () => boolean): Actor {
    const { events } = this;
    const actor = new Actor(type, id, undefined, 0, 0);
    actor.mailbox = new Mailbox(this.mailboxLimit);
    this.loader
      .fetch(actor, isPublished)
      .then(
        () => events.arrived(actor),
        (error) => {
          this.actorCache.remove(actor);
          for (let next = actor.mailbox!.take(); next; next = actor.mailbox!.take()) events.refused(next, type, error);
          events.arrived(actor);
        },
      )
      .catch((error) => events.failed(error));
    return actor;
  }
}
