// A TCP proxy before a server (PostgreSQL, Kafka, a registry), in whose hands a connection may fail as it does in the
// world: cut at a request that a test names, half-closed, slowed down, throttled, made silent, refused.
//
// Each direction of a connection is carried by one loop, so what waits holds up what comes behind it, and no bytes change
// places.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** How the way is. Default: as if there were no proxy. */
export interface Weather {
  /** Pause before each piece of data, both ways, milliseconds. */
  delayMs?: number;
  /** Both ways, each. */
  bytesPerSecond?: number;
  /** What the server says is swallowed. Such a connection has lost bytes for good: it is cut when the weather changes. */
  losesAnswers?: boolean;
  /** Connections are cut as they come. */
  isClosed?: boolean;
}

/** Waits for a request, and does something to it, once. */
export interface Trap {
  /** Whether this is the request, by its first bytes, or by what its connection has asked before. */
  matches(request: Buffer, connection: object): boolean;
  /** `before` the server hears of it, or `after` the server has answered and before the client hears that. */
  at: 'before' | 'after';
  /** The connection goes on when this has resolved, unless it was cut. Default: cut it. */
  spring?(cut: () => void): Promise<void> | void;
}

/** A COMMIT to PostgreSQL, as a simple query. */
export const commits = (request: Buffer): boolean => request.includes('commit\0');

/** The COMMIT behind a statement that holds this word, on the same connection: not that of a load or a handler beside it. */
export const commitsBehind = (word: string): Trap['matches'] => {
  const asked = new WeakSet<object>();
  return (request, connection) => {
    if (request.includes(word)) asked.add(connection);
    return asked.has(connection) && commits(request);
  };
};

/** A request to Kafka by its API key, where it begins a piece of data: clients send one and wait. */
export const asks =
  (apiKey: number) =>
  (request: Buffer): boolean =>
    request.length >= 6 && request.readInt16BE(4) === apiKey;

interface Connection {
  client: Socket;
  server: Socket;
  /** A trap's request is on its way: its answer springs it. */
  awaited?: Trap | undefined;
  hasLostBytes?: boolean;
}

export class TcpProxy implements AsyncDisposable {
  /** How many traps have sprung. */
  sprung = 0;
  private readonly server: Server;
  private readonly connections = new Set<Connection>();
  private readonly target: number;
  private conditions: Weather = {};
  private trap: Trap | undefined;

  private constructor(target: number) {
    this.target = target;
    this.server = createServer({ allowHalfOpen: true }, (client) => this.join(client));
  }

  /** Before a server on a loopback port; on `port`, or a free one. */
  static async before(target: number, port = 0): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.server.listen(port, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  /** An address of the server as one of this proxy. */
  through(address: string): string {
    const url = new URL(address);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  set weather(weather: Weather) {
    this.conditions = weather;
    for (const connection of [...this.connections]) {
      if (weather.isClosed || connection.hasLostBytes) this.end(connection);
    }
  }

  /** The next request that matches falls into it. */
  set(trap: Trap | undefined): void {
    this.trap = trap;
  }

  get isSet(): boolean {
    return this.trap !== undefined;
  }

  cut(): void {
    for (const connection of [...this.connections]) this.end(connection);
  }

  /** Every client hears that nothing more will come, while its own words still arrive. */
  halfClose(): void {
    for (const { client } of this.connections) client.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket): void {
    if (this.conditions.isClosed) {
      client.destroy();
      return;
    }
    const server = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
    const connection: Connection = { client, server };
    this.connections.add(connection);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => client.destroyed && server.destroyed && this.connections.delete(connection));
    }
    void this.carry(connection, client, server, (data) => this.heard(connection, data));
    void this.carry(connection, server, client, (data) => this.answered(connection, data));
  }

  private end({ client, server }: Connection): void {
    client.destroy();
    server.destroy();
  }

  /** What is held up arrives, also if its sender has gone meanwhile: then the other side hears the end. */
  private async carry(
    connection: Connection,
    from: Socket,
    to: Socket,
    look: (data: Buffer) => Promise<boolean>,
  ): Promise<void> {
    try {
      for await (const data of from as AsyncIterable<Buffer>) {
        await this.pace(data);
        if (!(await look(data)) || to.destroyed) continue;
        if (!to.write(data)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
      to.end();
    } catch {
      // `from` was destroyed under way: so is the rest, once what it has said is there.
      if (from === connection.server) this.end(connection);
      else to.end();
    }
  }

  private async pace({ length }: Buffer): Promise<void> {
    const { delayMs = 0, bytesPerSecond = Number.POSITIVE_INFINITY } = this.conditions;
    const waitMs = delayMs + (1000 * length) / bytesPerSecond;
    if (waitMs > 0) await pause(waitMs);
  }

  /** Whether it may go on to the server. */
  private async heard(connection: Connection, data: Buffer): Promise<boolean> {
    const { trap } = this;
    if (!trap?.matches(data, connection)) return true;
    this.trap = undefined;
    if (trap.at === 'before') return this.spring(trap, connection);
    connection.awaited = trap;
    return true;
  }

  /** Whether it may go on to the client. */
  private async answered(connection: Connection, _data: Buffer): Promise<boolean> {
    const { awaited } = connection;
    connection.awaited = undefined;
    if (awaited && !(await this.spring(awaited, connection))) return false;
    if (!this.conditions.losesAnswers) return true;
    connection.hasLostBytes = true;
    return false;
  }

  private async spring(trap: Trap, connection: Connection): Promise<boolean> {
    this.sprung++;
    let isCut = false;
    const cut = (): void => {
      isCut = true;
      this.end(connection);
    };
    await (trap.spring ?? ((end) => end()))(cut);
    return !isCut;
  }
}
