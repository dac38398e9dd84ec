/** Upload sessions for large attachments: ranges in order, on a host of their own that wants no token. */
import { randomBytes } from 'node:crypto';
import { empty, graphError, json } from './answers.ts';
import type { OpenMailbox, StoredMessage } from './mailbox.ts';
import { newAttachment, objectOf, type Json } from './message-json.ts';
import type { Answer, Operation } from './requests.ts';

interface Session {
  readonly mailbox: OpenMailbox;
  readonly message: StoredMessage;
  readonly item: Json;
  readonly size: number;
  readonly token: string;
  readonly expiresAt: number;
  readonly chunks: Buffer[];
  next: number;
}

interface UploadCall {
  readonly session: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Uploads {
  create(mailbox: OpenMailbox, message: StoredMessage, body: Json): Answer;
  /** A request to the URL of an upload session. */
  serve(operation: Operation, call: UploadCall): Answer;
  /** Values that give write access, to look for in logs. */
  tokenValues(): string[];
}

export interface UploadLimits {
  /** Size of an attachment, in bytes: at least, and at most. */
  readonly uploadMinBytes: number;
  readonly uploadMaxBytes: number;
  /** A range is shorter than this. */
  readonly uploadRangeBytes: number;
}

const lifetimeMs = 60 * 60 * 1000;

export function createUploads(origin: () => string, limits: UploadLimits, now: () => number): Uploads {
  const sessions = new Map<string, Session>();
  const tokens: string[] = [];
  const find = ({ session, query, headers }: UploadCall): Session | Answer => {
    // The URL itself is the permission; a token in a header would go to a host that must not have it.
    if (headers['authorization'] !== undefined) {
      return graphError(401, 'InvalidAuthenticationToken', 'No Authorization header is wanted here.');
    }
    const found = sessions.get(session);
    if (found === undefined || found.expiresAt <= now()) {
      return graphError(404, 'uploadSessionNotFound', 'The upload session was not found.');
    }
    if (query.get('authtoken') !== found.token)
      return graphError(401, 'InvalidAuthenticationToken', 'Wrong authtoken.');
    return found;
  };
  return {
    tokenValues: () => [...tokens],
    create(mailbox, message, body) {
      const item = objectOf(body['AttachmentItem']);
      const { attachmentType, size, name } = item;
      if (attachmentType !== 'file' || typeof size !== 'number' || typeof name !== 'string' || name === '') {
        return graphError(400, 'ErrorInvalidArgument', 'AttachmentItem needs attachmentType, name and size.');
      }
      if (size < limits.uploadMinBytes) {
        return graphError(400, 'ErrorAttachmentSizeShouldNotBeLessThanMinimumSize', 'The attachment is too small.');
      }
      if (size > limits.uploadMaxBytes) {
        return graphError(
          400,
          'ErrorAttachmentSizeLimitExceeded',
          'The attachment size exceeds the maximum allowed size.',
        );
      }
      const [id, token] = [randomBytes(12).toString('hex'), `fake-upload.${randomBytes(24).toString('hex')}`];
      const expiresAt = now() + lifetimeMs;
      tokens.push(token);
      sessions.set(id, { mailbox, message, item, size, token, expiresAt, chunks: [], next: 0 });
      return json(201, {
        '@odata.context': `${origin()}/v1.0/$metadata#microsoft.graph.uploadSession`,
        uploadUrl: `${origin()}/api/v2.0/attachmentSessions/${id}?authtoken=${token}`,
        expirationDateTime: new Date(expiresAt).toISOString(),
        nextExpectedRanges: ['0-'],
      });
    },
    serve(operation, call) {
      const session = find(call);
      if ('status' in session) return session;
      if (operation === 'uploadRange') return put(call, session);
      if (operation === 'cancelUpload') {
        sessions.delete(call.session);
        return empty(204);
      }
      const expirationDateTime = new Date(session.expiresAt).toISOString();
      return json(200, { expirationDateTime, nextExpectedRanges: [`${session.next}-`] });
    },
  };

  function put({ session: id, headers, body }: UploadCall, session: Session): Answer {
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers['content-range'] ?? '') ?? [];
    const [from, to, total] = range.slice(1).map(Number);
    const whole = to !== undefined && from !== undefined && to - from + 1 === body.length;
    if (!whole || total !== session.size || headers['content-length'] !== String(body.length)) {
      return graphError(400, 'ErrorInvalidArgument', 'Content-Range, Content-Length and the body do not agree.');
    }
    if (body.length >= limits.uploadRangeBytes)
      return graphError(413, 'RequestEntityTooLarge', 'The range is too long.');
    if (from !== session.next) return graphError(416, 'invalidRange', `Expected is the range from ${session.next}.`);
    session.chunks.push(body);
    session.next += body.length;
    if (session.next < session.size) {
      // This answer is in PascalCase in Microsoft's own example, the others are not.
      return json(200, {
        '@odata.context': `${origin()}/api/v2.0/$metadata#Users/Messages/AttachmentSessions/$entity`,
        ExpirationDateTime: new Date(session.expiresAt).toISOString(),
        NextExpectedRanges: [String(session.next)],
      });
    }
    sessions.delete(id);
    const { mailbox, message, item, size, chunks } = session;
    const attachment = newAttachment(item, size, chunks);
    mailbox.change(message, { attachments: [...message.attachments, attachment] });
    const path = `/api/v2.0/Users('${mailbox.id}')/Messages('${encodeURIComponent(message.id)}')/Attachments`;
    return empty(201, { location: `${origin()}${path}('${encodeURIComponent(attachment.id)}')` });
  }
}
