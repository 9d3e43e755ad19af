// A TCP proxy before a PostgreSQL server, that cuts connections where a test wants it.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const commit = Buffer.from('commit\0');

export class CuttingProxy implements AsyncDisposable {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly target: URL;
  private cutAt: 'before' | 'after' | undefined;
  /** How many connections have been cut at a COMMIT. */
  cuts = 0;

  private constructor(target: URL) {
    this.target = target;
    this.server = createServer((socket) => this.join(socket));
  }

  static async before(url: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(new URL(url));
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get url(): string {
    const url = new URL(this.target);
    url.port = String((this.server.address() as { port: number }).port);
    url.hostname = '127.0.0.1';
    return url.href;
  }

  /** Cut the next connection that commits: before the server hears of it, or when it has answered. */
  cutCommit(at: 'before' | 'after'): void {
    this.cutAt = at;
  }

  private join(client: Socket): void {
    const server = connect(Number(this.target.port || 5432), this.target.hostname);
    let isLastWord = false;
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.sockets.delete(socket);
        end();
      });
    }
    client.on('data', (data) => {
      if (this.cutAt !== undefined && data.includes(commit)) {
        this.cuts++;
        isLastWord = this.cutAt === 'after';
        this.cutAt = undefined;
        if (!isLastWord) return end();
      }
      server.write(data);
    });
    server.on('data', (data) => {
      if (isLastWord) end();
      else client.write(data);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
