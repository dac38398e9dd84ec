/** A receiver of webhooks: verifies each request with the package that receivers use, keeps it, and answers as it is told. */
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { onTestFinished } from 'vitest';
import type { WebhookEndpoint } from '../../src/config/webhooks.ts';

interface Received {
  readonly id: string;
  readonly body: {
    readonly type: string;
    readonly timestamp: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
  readonly text: string;
  readonly headers: IncomingMessage['headers'];
}

type Reaction =
  | number
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** Keeps the connection, and never answers. */
  | 'hang'
  /** Ends the connection. */
  | 'reset';

export interface Receiver {
  readonly url: string;
  readonly secret: string;
  /** Verified ones, in order; others fail the test that looks at `refused`. */
  readonly received: Received[];
  readonly refused: string[];
  /** Requests, whatever they were. */
  readonly requests: () => number;
  react: (received: Received) => Reaction;
  readonly endpoint: (more?: Partial<WebhookEndpoint>) => WebhookEndpoint;
}

export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

export async function startReceiver(
  listen: (listener: RequestListener) => http.Server = (listener) => http.createServer(listener),
): Promise<Receiver> {
  const secret = newSecret();
  const verifier = new Webhook(secret);
  const sockets = new Set<Socket>();
  const [received, refused]: [Received[], string[]] = [[], []];
  let requests = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    requests += 1;
    const body = await text(request);
    try {
      verifier.verify(body, request.headers as Record<string, string>);
    } catch (error) {
      refused.push(String(error));
      response.writeHead(401).end();
      return;
    }
    const one = {
      id: String(request.headers['webhook-id']),
      body: JSON.parse(body),
      text: body,
      headers: request.headers,
    };
    received.push(one);
    const reaction = receiver.react(one);
    if (reaction === 'hang') return;
    if (reaction === 'reset') return void request.socket.destroy();
    const { status, headers = {}, body: said = '' } = typeof reaction === 'number' ? { status: reaction } : reaction;
    response.writeHead(status, headers).end(said);
  };
  const server = listen((request, response) => void answer(request, response).catch(() => undefined));
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`;
  const receiver: Receiver = {
    url,
    secret,
    received,
    refused,
    requests: () => requests,
    react: () => 204,
    endpoint: (more = {}) => ({
      id: 'crm',
      url,
      secrets: [secret],
      types: ['*'],
      recipients: 'full',
      ordered: false,
      ca: null,
      ...more,
    }),
  };
  return receiver;
}
