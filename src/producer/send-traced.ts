/** The span of `send`: a part of what is active where it is called, and the context in which the message travels. */
import { redisError } from '../queue/redis/connection.ts';
import { PostlaneError } from '../errors.ts';
import { carrierOf } from '../tracing/context.ts';
import type { Tracing } from '../tracing/tracing.ts';

/** `send` gets the context for the job of the message, '' without `propagate`. */
export async function sendTraced<Input, Options, Sent extends { readonly id: string; readonly kind: string }>(
  tracing: Tracing,
  propagate: boolean,
  send: (input: Input, options: Options, carrier: string) => Promise<Sent>,
  input: Input,
  options: Options,
): Promise<Sent> {
  const span = tracing.begin('send outbound', {
    kind: 'producer',
    parent: 'active',
    attributes: {
      'messaging.system': 'postlane',
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'send',
      'messaging.destination.name': 'outbound',
    },
  });
  try {
    const result = await span.run(() => send(input, options, propagate ? carrierOf(span.text) : ''));
    span.set({ 'messaging.message.id': result.id, 'postlane.duplicate': result.kind !== 'new' });
    span.end();
    return result;
  } catch (thrown) {
    const { code, id } = thrown instanceof PostlaneError ? thrown : redisError(thrown);
    if (id !== undefined) span.set({ 'messaging.message.id': id });
    span.end(code);
    throw thrown;
  }
}
