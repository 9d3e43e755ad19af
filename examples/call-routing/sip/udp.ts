// A UDP socket, for IPv4 addresses. Sending never throws: what the kernel refuses is counted, and SIP's retransmissions repair it.
// What the kernel does not take at once waits in memory, up to a bound; beyond it a datagram is lost, as on the way.
import type { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Address } from './message.ts';

export interface UdpSocket {
  readonly address: Address;
  readonly sendFailures: number;
  send(datagram: Buffer, to: Address): void;
  stop(): Promise<void>;
}

const receiveBufferBytes = 4 * 1024 * 1024;
const sendQueueBytes = 8 * 1024 * 1024;

/** Port 0 takes a free one. */
export async function openUdp(
  { host, port }: Address,
  receive: (datagram: Buffer, from: Address) => void,
): Promise<UdpSocket> {
  const socket = createSocket({
    type: 'udp4',
    // Every address here is a literal: spare each datagram the trip through the resolver.
    lookup: (hostname, _options, callback) => callback(null, hostname, 4),
  });
  let sendFailures = 0;
  let isOpen = true;
  socket.on('message', (datagram, { address, port: fromPort }) => receive(datagram, { host: address, port: fromPort }));
  const listening = once(socket, 'listening');
  socket.bind(port, host);
  await listening;
  socket.on('error', () => sendFailures++);
  socket.setRecvBufferSize(receiveBufferBytes);
  return {
    address: { host, port: socket.address().port },
    get sendFailures() {
      return sendFailures;
    },
    send(datagram, to) {
      if (!isOpen) return;
      if (socket.getSendQueueSize() + datagram.length > sendQueueBytes) {
        sendFailures++;
        return;
      }
      socket.send(datagram, to.port, to.host, (error) => {
        if (error) sendFailures++;
      });
    },
    async stop() {
      if (!isOpen) return;
      isOpen = false;
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}
