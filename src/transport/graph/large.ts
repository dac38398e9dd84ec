/** Sends a message that is too large for one request: a draft, its attachments one by one, and then the request to send it. */
import { printable } from '../../errors.ts';
import { contentSize, inlineBytes } from '../../message/content.ts';
import { estimateBytes } from '../../message/estimate.ts';
import type { Attachment, Message } from '../../message/message.ts';
import type { GraphAnswer, GraphCall, GraphClient } from './client.ts';
import { attachmentItemOf, draftOf, fileAttachmentOf } from './draft.ts';
import { idOf, isUploadUrl } from './identifiers.ts';
import { clearDrafts } from './lookup.ts';
import { attachmentBytes, jsonBytes, rawMimeBytes, sessionBytes } from './limits.ts';
import { outcomeOf, refusedHere, settled, type AttemptFacts } from './outcome.ts';
import { objectOf } from '../http-reply.ts';
import { readAnswer } from './response.ts';
import { takeApart, type TakenApart } from './take-apart.ts';
import { upload, type UploadTools } from './upload.ts';
import type { Outcome, Structured } from '../transport.ts';

export interface LargeTask {
  readonly client: GraphClient;
  readonly facts: AttemptFacts;
  readonly message: Message;
  readonly contentOf: Structured['contentOf'];
  readonly rangeOf: Structured['rangeOf'];
  readonly messageId: string | null;
  readonly graphBaseUrl: string;
  /** Their signal ends everything: the caller's, or the end of the attempt's time. */
  readonly tools: UploadTools;
}

/** A finished mail in the parts in which Graph takes it, or a sentence that says why it cannot be sent. */
export async function divide(mail: Buffer, recipients: readonly string[]): Promise<TakenApart> {
  const apart = await takeApart(mail, recipients);
  if (!apart.ok) {
    const limit = `Graph takes finished messages of up to ${rawMimeBytes}, and larger ones only in parts`;
    return { ok: false, problem: `the message has ${mail.length} bytes; ${limit}, and it ${apart.problem}` };
  }
  const problem = tooLargeForGraph(apart.structured.message);
  return problem === null ? apart : { ok: false, problem };
}

/** What a message would be refused for that is not enqueued yet, so that its `raw` is at hand; null if nothing is known. */
export async function refusedByGraph(message: Message): Promise<string | null> {
  const { raw, envelope } = message;
  if (raw === undefined) {
    const whole = onlyWhole(message);
    if (whole === null) return tooLargeForGraph(message);
    return estimateBytes(message, rawMimeBytes) > rawMimeBytes ? tooLargeWhole(whole) : null;
  }
  const mail = inlineBytes(raw);
  if (mail === null || mail.length <= rawMimeBytes) return null;
  const apart = await divide(mail, envelope.to);
  return apart.ok ? null : apart.problem;
}

/** The field for which a message goes as one mail of MIME, whatever is configured: Graph's JSON has only a text or an HTML, and files. */
export function onlyWhole({ alternatives, calendarEvent }: Message): 'calendarEvent' | 'alternatives' | null {
  if (calendarEvent !== undefined) return 'calendarEvent';
  return alternatives === undefined ? null : 'alternatives';
}

export function tooLargeWhole(field: 'calendarEvent' | 'alternatives'): string {
  return `a message with ${field} goes to Graph in one request, which takes ${rawMimeBytes} bytes of a mail; this one has more`;
}

/** Why Graph cannot carry the parts of a message in any way; null if it can. Known before anything of the message is composed. */
export function tooLargeForGraph(message: Message): string | null {
  const { attachments, envelope } = message;
  const largest = Math.max(0, ...attachments.map(contentSize));
  if (largest > attachmentBytes) return `an attachment has ${largest} bytes, and Graph takes ${attachmentBytes}`;
  const size = Buffer.byteLength(JSON.stringify(draftOf(message, null, envelope.to)));
  if (size <= jsonBytes) return null;
  return `the text of the message has ${size} bytes, and Graph takes ${jsonBytes} beside attachments`;
}

/** No step but the last sends a copy, so the attempt may end anywhere; a draft that is left is deleted. */
export async function sendLarge(task: LargeTask): Promise<Outcome> {
  const { facts, message, messageId, tools } = task;
  // A draft left by an earlier attempt would be a second copy if a person sent it, or if it were still on its way.
  if (messageId !== null) await clearDrafts(task.client, facts.mailbox, messageId, tools.requestMs, tools.signal);
  const created = await call(task, { method: 'POST', path: [], body: draftOf(message, messageId, facts.recipients) });
  const draft = created.kind === 'answer' && created.status === 201 ? idOf(objectOf(created.text)?.['id']) : null;
  if (draft === null) return failed(created, facts);
  let sending = false;
  try {
    for (const attachment of message.attachments) {
      const stopped = await attach(task, draft, attachment);
      if (stopped !== null) return stopped;
    }
    sending = true;
    return outcomeOf(await call(task, { method: 'POST', path: [draft, 'send'] }), 'submit', facts);
  } finally {
    if (!sending) await remove(task, draft);
  }
}

/** Null once the draft has the attachment. */
async function attach(task: LargeTask, draft: string, attachment: Attachment): Promise<Outcome | null> {
  const { facts, tools, rangeOf } = task;
  const size = contentSize(attachment);
  if (size < sessionBytes) return attachWhole(task, draft, attachment);
  const path = [draft, 'attachments', 'createUploadSession'];
  const opened = await call(task, { method: 'POST', path, body: attachmentItemOf(attachment, size) });
  if (opened.kind === 'answer' && readAnswer(opened, facts.now).reply.enhancedCode === tooSmallForSession) {
    return attachWhole(task, draft, attachment);
  }
  const url = opened.kind === 'answer' && opened.status === 201 ? objectOf(opened.text)?.['uploadUrl'] : null;
  if (typeof url !== 'string') return failed(opened, facts);
  if (!isUploadUrl(url, task.graphBaseUrl)) {
    const host = printable(URL.parse(url)?.host ?? 'no address', 200);
    const text = `Graph names ${host} for the attachment, which is not one of its hosts`;
    return { kind: 'connector-fault', fault: 'config', reply: { code: null, enhancedCode: null, text } };
  }
  const source = { size, range: async (start: number, end: number) => rangeOf(attachment, start, end) };
  const uploaded = await upload(url, source, tools);
  if (uploaded.kind === 'done') return null;
  const { text } = uploaded;
  const status = uploaded.kind === 'failed' ? uploaded.status : null;
  const code = uploaded.kind === 'failed' ? (uploaded.code ?? (status === null ? null : String(status))) : null;
  const reply = { code, enhancedCode: null, text };
  if (status === 429) return { kind: 'connector-fault', fault: 'throttled', reply };
  if (status === 413) return { ...refusedHere(facts, text, true) };
  return settled(facts, 'deferred', 'message', reply);
}

/** The attachment's bytes, or why they cannot be read now. */
export async function readContent(
  contentOf: Structured['contentOf'],
  attachment: Attachment,
): Promise<Buffer | string> {
  try {
    return await contentOf(attachment);
  } catch (error) {
    return `an attachment cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The exact minimum is not documented; Graph reports it by this code. */
const tooSmallForSession = 'ErrorAttachmentSizeShouldNotBeLessThanMinimumSize';

async function attachWhole(task: LargeTask, draft: string, attachment: Attachment): Promise<Outcome | null> {
  const bytes = await readContent(task.contentOf, attachment);
  if (typeof bytes === 'string') {
    return settled(task.facts, 'deferred', 'message', { code: null, enhancedCode: null, text: bytes });
  }
  const added = await call(task, {
    method: 'POST',
    path: [draft, 'attachments'],
    body: fileAttachmentOf(attachment, bytes),
  });
  return added.kind === 'answer' && added.status === 201 ? null : failed(added, task.facts);
}

/** A step without the expected result. An answer of success that lacks what it should contain is a temporary fault. */
function failed(answer: GraphAnswer, facts: AttemptFacts): Outcome {
  return outcomeOf(answer, 'prepare', facts);
}

function call({ client, facts, tools }: LargeTask, request: Omit<GraphCall, 'timeoutMs'>): Promise<GraphAnswer> {
  const path = ['users', facts.mailbox, 'messages', ...request.path];
  return client.call({ ...request, path, timeoutMs: tools.requestMs }, tools.signal);
}

/** A draft that stays only clutters the mailbox; the next attempt looks for it again. */
const removeMs = 10_000;

async function remove({ client, facts }: LargeTask, draft: string): Promise<void> {
  const path = ['users', facts.mailbox, 'messages', draft];
  // The attempt's own signal may have ended it.
  await client.call({ method: 'DELETE', path, timeoutMs: removeMs }, AbortSignal.timeout(removeMs));
}
