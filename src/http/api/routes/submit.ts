/** `POST /v1/messages`: one message, as JSON or finished; `POST /v1/messages/batch`: many. */
import { z } from 'zod';
import { messageJsonSchema } from '../../../message/schema.ts';
import { ledgerStates } from '../../../queue/ledger/ledger.ts';
import { readJson } from '../../json.ts';
import { takeRate } from '../access.ts';
import { check } from '../input.ts';
import { actorOf } from '../operator-schemas.ts';
import { json, problem, route, type Context, type Payload, type Reply } from '../route.ts';
import { connectorId } from '../schemas.ts';
import { problemBody, refusedVia, submit, type Submission } from '../submit.ts';

const { $schema: _dialect, title: _title, ...messageSchema } = messageJsonSchema();
/** The producer judges messages; here its schema is only shown. */
export const outboundMessage = z.unknown().meta({ ...messageSchema, id: 'OutboundMessage' });

const submitted = z
  .object({
    id: z.string(),
    state: z.enum(ledgerStates),
    duplicate: z.boolean().meta({ description: 'The message was there: nothing was stored.' }),
  })
  .meta({ id: 'Submitted' });

const key = z
  .string()
  .regex(/^[\x20-\x7e]{1,256}$/)
  .optional()
  .meta({
    description:
      'The same key and content again are the same message; another content is refused. Of this token alone, and kept for as long as the row of the message.',
  });

const maxBatch = 1_000;
/** Messages of a batch that are on their way to Redis at once. */
const atOnce = 100;
const rfc822 = 'message/rfc822';
const many = z.union([z.string(), z.array(z.string())]);

const batch = z.strictObject({ messages: z.array(outboundMessage).min(1).max(maxBatch) }).meta({ id: 'Batch' });
const item = z
  .union([
    submitted,
    z.object({ error: z.looseObject({ code: z.string(), status: z.int(), retryAfterMs: z.int().optional() }) }),
  ])
  .meta({ id: 'BatchResult' });

/** Base64 makes four bytes of three. */
const maxBytes = ({ message }: { readonly message: { readonly maxBytes: number } }): number =>
  Math.ceil((message.maxBytes * 4) / 3);

export const submitRoutes = [
  route({
    method: 'POST',
    path: '/v1/messages',
    name: 'submitMessage',
    summary: 'Submits a message',
    description:
      'Answers when the message is stored. A finished message (`message/rfc822`) goes to the recipients in its header, or to those in `to`.',
    scope: 'messages:send',
    headers: z.object({ 'Idempotency-Key': key }),
    query: z.strictObject({
      via: connectorId.optional().meta({
        description: 'Connector to use in place of that of the From address, for a test; needs `connectors:write`.',
      }),
      from: z.string().max(1_000).optional().meta({ description: 'Of a finished message: the reverse-path.' }),
      to: many.optional().meta({ description: 'Of a finished message: a recipient; may be repeated.' }),
    }),
    payload: {
      types: {
        'application/json': outboundMessage,
        [rfc822]: z.string().meta({ description: 'A finished message (RFC 5322).' }),
      },
      maxBytes,
    },
    answers: {
      202: { description: 'The message is stored. `Location` is where it is followed.', body: submitted },
      200: { description: 'It was stored before.', body: submitted },
    },
    problems: [
      'message-invalid',
      'idempotency-mismatch',
      'attachment-missing',
      'key-missing',
      'conflict',
      'redis-full',
      'unavailable',
    ],
    async handle({ query: { via, ...envelope }, payload }, context) {
      const refused = refusedVia(via, context);
      if (refused !== null) return { kind: 'problem', problem: refused };
      const keyed = keyOf(context);
      if (!keyed.ok) return { kind: 'problem', problem: keyed.problem };
      const message = messageOf(payload!, envelope);
      if (!message.ok) return message.reply;
      const send = () => submit(message.value, { idempotencyKey: keyed.value, via }, context);
      if (via === undefined) return replyOf(await send());
      const actions = (await context.tools.operator()).as(actorOf(context), context.tools.config());
      return replyOf(
        await actions.sendVia(via, send, (answer) => (answer.ok ? answer.submitted : { code: answer.problem.code })),
      );
    },
  }),
  route({
    method: 'POST',
    path: '/v1/messages/batch',
    name: 'submitBatch',
    summary: 'Submits up to 1,000 messages',
    description:
      'Each message is judged and stored by itself: one that is refused affects no other. With `Idempotency-Key`, the key of each is the key of the batch and its place.',
    scope: 'messages:send',
    headers: z.object({ 'Idempotency-Key': key }),
    payload: { types: { 'application/json': batch }, maxBytes },
    answers: {
      200: {
        description: 'One result per message, in order.',
        body: z.object({ results: z.array(item) }),
      },
    },
    problems: ['unavailable'],
    async handle({ payload }, context) {
      const keyed = keyOf(context);
      if (!keyed.ok) return { kind: 'problem', problem: keyed.problem };
      const read = readJson(payload!.bytes);
      if (!read.ok) return problem('malformed-request', read.detail);
      const checked = check(batch, read.value);
      if (!checked.ok) return { kind: 'problem', problem: checked.problem };
      const { messages } = checked.value;
      // The request itself has been counted.
      const over = await takeRate(context.token, messages.length - 1, context.tools);
      if (over !== null) return { kind: 'problem', problem: over };
      const results: unknown[] = [];
      for (let start = 0; start < messages.length; start += atOnce) {
        const portion = messages.slice(start, start + atOnce).map(async (message, i) => {
          const idempotencyKey = keyed.value === undefined ? undefined : `${keyed.value}/${start + i}`;
          const answer = await submit(message, { idempotencyKey }, context);
          return answer.ok ? answer.submitted : { error: problemBody(answer.problem) };
        });
        results.push(...(await Promise.all(portion)));
      }
      return json({ results });
    },
  }),
];

/** Of the header; a list of several is one text, which is refused as no other client would send it again. */
function keyOf({ socket }: Context) {
  const written = socket.request.headers['idempotency-key'];
  return check(key, written, 'Idempotency-Key');
}

type MessageRead = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reply: Reply };

function messageOf(
  { contentType, bytes }: Payload,
  { from, to }: { readonly from?: string | undefined; readonly to?: string | string[] | undefined },
): MessageRead {
  if (contentType === rfc822) {
    const envelope = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
    return { ok: true, value: { raw: bytes, ...(from === undefined && to === undefined ? {} : { envelope }) } };
  }
  if (from !== undefined || to !== undefined) {
    const issues = [
      { field: from === undefined ? 'to' : 'from', rule: 'unknown-field', message: 'is for message/rfc822' },
    ];
    return {
      ok: false,
      reply: problem('invalid-request', 'from and to in the query are for message/rfc822', { issues }),
    };
  }
  const read = readJson(bytes);
  return read.ok ? read : { ok: false, reply: problem('malformed-request', read.detail) };
}

function replyOf(answer: Submission): Reply {
  if (!answer.ok) return { kind: 'problem', problem: answer.problem };
  const { submitted: body } = answer;
  const Location = `/v1/messages/${encodeURIComponent(body.id)}`;
  return json(body, body.duplicate ? 200 : 202, { Location });
}
