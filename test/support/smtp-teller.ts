/** An SMTP server that answers from a list, whatever it is asked, and what the client wrote to it. */
import net from 'node:net';
import { onTestFinished } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from './smtp-client.ts';

export interface Told {
  readonly port: number;
  /** What each write of the client carried, as far as the system kept them apart. */
  readonly heard: string[];
  connections: number;
  readonly sockets: net.Socket[];
}

/**
 * A server that answers from a list: one entry for each step of the client, which is a batch of commands or a message with its
 * final dot. `say` writes it: at once, byte by byte.
 */
export async function teller(answers: readonly string[], { byteByByte = false, close = false } = {}): Promise<Told> {
  const told: Told = { port: 0, heard: [], connections: 0, sockets: [] };
  const { sockets } = told;
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    told.connections += 1;
    const left = [...answers];
    const say = async (text: string): Promise<void> => {
      if (!byteByByte) return void socket.write(text);
      for (const byte of Buffer.from(text)) {
        await new Promise<void>((resolve) => socket.write(Buffer.from([byte]), () => setImmediate(resolve)));
      }
    };
    socket.on('error', () => undefined);
    void say('220 teller\r\n');
    socket.on('data', (chunk) => {
      told.heard.push(chunk.toString('latin1'));
      const answer = left.shift();
      if (answer === undefined) return;
      void say(answer.replaceAll('\n', '\r\n')).finally(() => {
        if (close && left.length === 0) socket.end();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as net.AddressInfo;
  return Object.assign(told, { port });
}

export async function sendTo(told: Told, to = ['a@example.net', 'b@example.net']): Promise<string> {
  const { transport } = await smtpPair(
    {},
    { port: told.port, timeouts: { commandMs: 2_000, dataTerminationMs: 2_000 } },
  );
  return summary(await sendBy(transport, mailOf({ to })));
}

export const ehlo = '250-teller\n250 PIPELINING\n';
