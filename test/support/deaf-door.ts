/** A door to an SMTP server that stops reading amid the first body that comes: what is on its way fills the buffers. */
import net from 'node:net';
import { onTestFinished } from 'vitest';

export interface DeafDoor {
  readonly port: number;
  readonly isDeaf: () => boolean;
}

/** Deaf once, for that connection alone. Ends with the test. */
export async function deafOnce(port: number): Promise<DeafDoor> {
  let deaf = false;
  const door = net.createServer((client) => {
    const inner = net.connect(port, '127.0.0.1');
    onTestFinished(() => {
      client.destroy();
      inner.destroy();
    });
    for (const socket of [client, inner]) socket.on('error', () => socket.destroy());
    inner.pipe(client);
    let commands = '';
    client.on('data', (chunk) => {
      commands += chunk.toString('latin1').slice(0, 1_000);
      inner.write(chunk);
      if (!deaf && commands.includes('Message-ID')) {
        deaf = true;
        client.pause();
      }
    });
    client.on('close', () => inner.destroy());
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void door.close());
  return { port: (door.address() as net.AddressInfo).port, isDeaf: () => deaf };
}
