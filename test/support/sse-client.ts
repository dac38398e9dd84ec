/** A client of the event stream: what came, in order, and where it stands. */
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import { until } from '../../testkit/until.ts';

interface SseEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface SseClient {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly events: readonly SseEvent[];
  /** The last id that was set. */
  readonly lastId: () => string;
  readonly closed: () => boolean;
  /** Waits until so many events came. */
  has(count: number): Promise<readonly SseEvent[]>;
  /** Stops reading, or goes on. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface SseOptions {
  readonly port: number;
  readonly token: string;
  readonly lastEventId?: string;
  readonly query?: string;
}

/** Resolves when the answer has begun. Closed at the end of the test. */
export async function openEvents({ port, token, lastEventId, query = '' }: SseOptions): Promise<SseClient> {
  const begun = Promise.withResolvers<{ call: ClientRequest; response: IncomingMessage }>();
  const headers = {
    host: 'localhost',
    authorization: `Bearer ${token}`,
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
  };
  const call = request({ host: '127.0.0.1', port, path: `/v1/events${query}`, headers, agent: false }, (response) =>
    begun.resolve({ call, response }),
  );
  call.on('error', begun.reject);
  call.end();
  const { response } = await begun.promise;
  const events: SseEvent[] = [];
  let lastId = '';
  let rest = '';
  let closed = false;
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const blocks = `${rest}${chunk}`.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => [line.split(':', 1)[0]!, line.replace(/^[^:]*: ?/, '')]));
      lastId = fields.get('id') ?? lastId;
      const data = fields.get('data');
      if (data === undefined) continue;
      events.push({
        id: lastId,
        event: fields.get('event') ?? 'message',
        data: JSON.parse(data) as Record<string, unknown>,
      });
    }
  });
  response.on('error', () => undefined);
  response.on('close', () => (closed = true));
  onTestFinished(() => void call.destroy());
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events,
    lastId: () => lastId,
    closed: () => closed,
    async has(count) {
      await until(() => events.length >= count, { what: `${count} events` });
      return events;
    },
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close: () => void call.destroy(),
  };
}
