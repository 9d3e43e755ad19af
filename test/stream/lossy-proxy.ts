// A way to the broker that loses answers: when told to, it swallows what the broker says and cuts the connection, so that
// nobody can know what has been done.
import { connect, createServer, type Server, type Socket } from 'node:net';

export class LossyProxy {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  /** How many of the next answers are lost. */
  toLose = 0;
  lost = 0;

  /** `port`: where clients come to; `target`: where the broker listens. */
  constructor(port: number, target: number) {
    this.server = createServer((client) => {
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
      client.on('data', (bytes) => broker.write(bytes));
      broker.on('data', (bytes) => {
        if (this.toLose === 0) {
          client.write(bytes);
          return;
        }
        this.toLose--;
        this.lost++;
        client.destroy();
      });
    }).listen(port, '127.0.0.1');
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
