// @nestjs/cqrs: an aggregate root applies an event and commits it; the event bus calls its handler.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AggregateRoot, CqrsModule, EventBus, EventPublisher, EventsHandler } from '@nestjs/cqrs';
import { routed } from '../../payload.ts';

let handled = 0;

class CallRouted {
  constructor(data) {
    this.data = data;
  }
}

class Handler {
  handle() {
    handled++;
  }
}
EventsHandler(CallRouted)(Handler);

class Call extends AggregateRoot {
  route(data) {
    this.apply(new CallRouted(data));
  }
  onCallRouted(event) {
    this.last = event;
  }
}

class App {}
Module({ imports: [CqrsModule.forRoot()], providers: [Handler] })(App);

export const nestjsCqrs = {
  async open() {
    const app = await NestFactory.createApplicationContext(App, { logger: false });
    app.get(EventBus);
    const publisher = app.get(EventPublisher);
    const calls = Array.from({ length: 256 }, () => publisher.mergeObjectContext(new Call()));
    return {
      call(i) {
        const call = calls[i & 255];
        call.route(routed(i));
        call.commit();
      },
      async close() {
        if (handled === 0) throw new Error('nobody handled');
        await app.close();
      },
    };
  },
};
