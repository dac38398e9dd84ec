/** A client of the HTTP API: submits as fast as possible over connections that it keeps, and opens streams of events. */
import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { mailsOf } from './mail.ts';
import { answer, settingsOf } from './program.ts';

/** Callers at once, as for `send`. */
const callers = 50;

const { port, token } = await settingsOf<{ port: number; token: string }>();
const agent = new Agent({ keepAlive: true, maxSockets: callers });
const authorization = `Bearer ${token}`;
const streams: ClientRequest[] = [];

async function post(body: string): Promise<void> {
  const length = Buffer.byteLength(body);
  const headers = { authorization, 'content-type': 'application/json', 'content-length': length };
  const call = request({ agent, port, host: '127.0.0.1', path: '/v1/messages', method: 'POST', headers });
  call.end(body);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  response.resume();
  if (response.statusCode !== 202) throw new Error(`the API answered ${response.statusCode}`);
  await once(response, 'end');
}

answer({
  async run(count) {
    const bodies = mailsOf(count)
      .map((mail) => JSON.stringify(mail))
      .values();
    const startedAt = performance.now();
    const caller = async (): Promise<void> => {
      for (const body of bodies) await post(body);
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { messages: count, ms: performance.now() - startedAt };
  },
  async open(count) {
    for (let i = 0; i < count; i += 1) {
      const call = request({ agent: false, port, host: '127.0.0.1', path: '/v1/events', headers: { authorization } });
      call.on('error', () => undefined);
      call.end();
      const [response] = (await once(call, 'response')) as [IncomingMessage];
      if (response.statusCode !== 200) throw new Error(`the API answered ${response.statusCode}`);
      response.resume();
      streams.push(call);
    }
    return { open: streams.length };
  },
});
