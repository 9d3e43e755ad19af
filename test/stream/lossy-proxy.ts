// A way to the broker that knows what goes by: it notes each request's kind, and when told to it swallows the answer to
// the next one of a kind and cuts the connection, so that nobody can know what has been done; or it keeps the request.
//
//   request:  bytes i32 | api key i16 | api version i16 | correlation i32 | …
//   answer:   bytes i32 | correlation i32 | …
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Kafka } from '../kafka.ts';
import { freePorts } from '../watched.ts';

/** Kinds of requests by Kafka's numbers. */
export const ApiKey = { produce: 0, initProducerId: 22, addPartitions: 24, endTransaction: 26 } as const;

/** From which version on an answer begins with tagged fields, of those whose first fields are a time and an error. */
const taggedFrom = new Map<number, number>([
  [ApiKey.initProducerId, 2],
  [ApiKey.endTransaction, 3],
]);

const lengthBytes = 4;

export class LossyProxy {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly toLose: number[] = [];
  private readonly toKeep: number[] = [];
  private readonly toTear: number[] = [];
  private readonly toDeny: { kind: number; code: number }[] = [];
  /** All requests, in the order in which they came, and whose answers were lost; and those that the broker never saw. */
  readonly requests: { kind: number; isLost: boolean; isKept: boolean }[] = [];

  /** `port`: where clients come to; `target`: where the broker listens. */
  constructor(port: number, target: number) {
    this.server = createServer((client) => this.join(client, target)).listen(port, '127.0.0.1');
  }

  /** Lose the answer to the next request of this kind. */
  lose(kind: number): void {
    this.toLose.push(kind);
  }

  /** Break the answer to the next request of this kind off in its middle. */
  tear(kind: number): void {
    this.toTear.push(kind);
  }

  /** Answer the next request of this kind, whatever the broker has done, by an error of this number. */
  deny(kind: number, code: number): void {
    this.toDeny.push({ kind, code });
  }

  /** Of those that are to be denied. */
  get undenied(): number {
    return this.toDeny.length;
  }

  /** Do not hand on the next request of this kind. */
  keep(kind: number): void {
    this.toKeep.push(kind);
  }

  private join(client: Socket, target: number): void {
    const broker = connect(target, '127.0.0.1');
    for (const socket of [client, broker]) {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.sockets.delete(socket);
        client.destroy();
        broker.destroy();
      });
    }
    const doomed = new Map<number, 'lost' | 'torn' | { code: number; at: number }>();
    const requests = framesOf((frame) => {
      const kind = frame.readInt16BE(lengthBytes);
      const correlation = frame.readInt32BE(lengthBytes + 4);
      const isTorn = taken(this.toTear, kind);
      const isLost = isTorn || taken(this.toLose, kind);
      const isKept = taken(this.toKeep, kind);
      if (isLost) doomed.set(correlation, isTorn ? 'torn' : 'lost');
      else {
        const denied = this.toDeny.findIndex((one) => one.kind === kind);
        const isTagged = frame.readInt16BE(lengthBytes + 2) >= (taggedFrom.get(kind) ?? Number.POSITIVE_INFINITY);
        if (denied >= 0) {
          const [one] = this.toDeny.splice(denied, 1);
          doomed.set(correlation, { code: one!.code, at: lengthBytes + 4 + (isTagged ? 1 : 0) + 4 });
        }
      }
      this.requests.push({ kind, isLost, isKept });
      if (!isKept) broker.write(frame);
    });
    const answers = framesOf((frame) => {
      const doom = doomed.get(frame.readInt32BE(lengthBytes));
      if (typeof doom === 'object') frame.writeInt16BE(doom.code, doom.at);
      if (doom === undefined || typeof doom === 'object') client.write(frame);
      else if (doom === 'torn') client.end(frame.subarray(0, frame.length >> 1));
      else client.destroy();
    });
    client.on('data', requests);
    broker.on('data', answers);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Whether it was in the list; it is not any more. */
function taken(list: number[], kind: number): boolean {
  const index = list.indexOf(kind);
  if (index >= 0) list.splice(index, 1);
  return index >= 0;
}

/** A broker that clients reach by the proxy only. Close the proxy first, then stop the broker. */
export async function startBehindProxy(): Promise<{ broker: Kafka; proxy: LossyProxy; address: string }> {
  const [port, target, controller] = await freePorts(3);
  const broker = await Kafka.start({
    listeners: `PLAINTEXT://127.0.0.1:${target},CONTROLLER://127.0.0.1:${controller}`,
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
  });
  return { broker, proxy: new LossyProxy(port!, target!), address: `127.0.0.1:${port}` };
}

/** Puts a stream's pieces together, and visits each whole frame. */
function framesOf(visit: (frame: Buffer) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= lengthBytes) {
      const end = lengthBytes + rest.readInt32BE(0);
      if (rest.length < end) return;
      visit(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}
