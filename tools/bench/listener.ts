/** Small SMTP servers within this process: one that takes mail and says when, one that never greets, one that always answers 421. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

type Habit = 'take' | 'hang' | 'refuse';

export interface Listener {
  readonly port: number;
  stop(): Promise<void>;
}

/** `onTaken` is called when the 250 of the final dot is written; `startedAt` is the time of MAIL FROM. Both performance.now(). */
export async function listen(
  habit: Habit,
  onTaken: (recipient: string, at: number, startedAt: number) => void = () => undefined,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    if (habit === 'refuse') socket.end('421 4.3.2 busy, come back later\r\n');
    else if (habit === 'take') serve(socket, onTaken);
    else socket.resume();
  }).listen(0, '127.0.0.1', 4_096);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function serve(socket: Socket, onTaken: (recipient: string, at: number, startedAt: number) => void): void {
  let recipient = '';
  let startedAt = 0;
  let body = false;
  let rest = '';
  const command = (line: string): string | null => {
    switch (line.slice(0, 4).toUpperCase()) {
      case 'EHLO':
        return '250-listener\r\n250-PIPELINING\r\n250 8BITMIME';
      case 'MAIL':
        startedAt = performance.now();
        return '250 ok';
      case 'RCPT':
        recipient = /<([^>]*)>/.exec(line)?.[1] ?? '';
        return '250 ok';
      case 'DATA':
        body = true;
        return '354 go on';
      case 'QUIT':
        socket.end('221 bye\r\n');
        return null;
      default:
        return '250 ok';
    }
  };
  socket.write('220 listener\r\n');
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    rest += chunk;
    for (;;) {
      const mark = body ? '\r\n.\r\n' : '\r\n';
      const end = rest.indexOf(mark);
      if (end < 0) return;
      const line = rest.slice(0, end);
      rest = rest.slice(end + mark.length);
      if (body) {
        body = false;
        onTaken(recipient, performance.now(), startedAt);
        socket.write('250 taken\r\n');
      } else {
        const reply = command(line);
        if (reply !== null) socket.write(`${reply}\r\n`);
      }
    }
  });
}
