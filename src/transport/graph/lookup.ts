/** Finds copies and drafts of a message by its Message-ID, and deletes drafts that will not be sent any more. */
import { routingKey } from '../../message/address.ts';
import { odataText, type GraphAnswer, type GraphClient } from './client.ts';
import { idOf } from './identifiers.ts';
import { objectOf } from '../http-reply.ts';
import { readAnswer } from './response.ts';
import type { Verification } from '../transport.ts';

interface Found {
  /** Null if it is none that a request could name. */
  readonly id: string | null;
  readonly isDraft: boolean;
  /** ms since the epoch; null if Graph does not tell. */
  readonly createdAt: number | null;
  /** ms since the epoch; null if it was never sent. */
  readonly sentAt: number | null;
  /** The routing keys of all recipients that the copy names. */
  readonly recipients: ReadonlySet<string>;
}

export interface VerifyTask {
  readonly client: GraphClient;
  readonly mailbox: string;
  readonly messageId: string;
  readonly recipients: readonly string[];
  /** Sent items are kept, so that finding none is evidence. */
  readonly keepsCopies: boolean;
  /** ms since the epoch. */
  readonly attemptedAt: number;
  readonly now: number;
  /** How late a copy may appear, and how long a draft may be on its way before it counts as left behind. */
  readonly patience: { readonly copyMs: number; readonly draftMs: number };
  readonly requestMs: number;
  readonly signal: AbortSignal;
}

/** The difference between two machines' clocks, and the time until an attempt is given up. */
const clockSkewMs = 5 * 60_000;

export async function verify(task: VerifyTask): Promise<Verification> {
  const { client, mailbox, messageId, requestMs, signal } = task;
  const found = await lookUp(client, mailbox, messageId, requestMs, signal);
  if (!Array.isArray(found)) return found;
  if (found.some((copy) => !copy.isDraft && isOurs(copy, task))) return 'sent';
  // A raw message has the sender's own Message-ID: an older draft with it may be a person's, and stays.
  const drafts = found.filter(
    ({ isDraft, createdAt }) => isDraft && (createdAt === null || createdAt >= task.attemptedAt - clockSkewMs),
  );
  const age = task.now - task.attemptedAt;
  // Exchange keeps what it has accepted among the drafts until it is on its way.
  if (age < task.patience.copyMs || (drafts.length > 0 && age < task.patience.draftMs)) return 'unknown';
  for (const { id, createdAt } of drafts) {
    if (createdAt === null || !(await remove(client, mailbox, id, requestMs, signal))) return 'unknown';
  }
  return task.keepsCopies ? 'not-sent' : 'unknown';
}

/**
 * The same Message-ID may have gone to other recipients before: a replayed dead letter goes to the remaining ones. A copy
 * counts if it names every recipient of this attempt, or if it is as recent as the attempt and names as many recipients,
 * because Exchange may show a recipient by another address.
 */
function isOurs({ recipients, sentAt }: Found, task: VerifyTask): boolean {
  if (task.recipients.every((address) => recipients.has(routingKey(address)))) return true;
  return recipients.size === task.recipients.length && sentAt !== null && sentAt >= task.attemptedAt - clockSkewMs;
}

/** Deletes drafts with this Message-ID, which is one that this product made, as far as that is possible now. */
export async function clearDrafts(
  client: GraphClient,
  mailbox: string,
  messageId: string,
  requestMs: number,
  signal: AbortSignal,
): Promise<void> {
  const found = await lookUp(client, mailbox, messageId, requestMs, signal);
  if (!Array.isArray(found)) return;
  for (const { id, isDraft } of found) if (isDraft) await remove(client, mailbox, id, requestMs, signal);
}

/** Of one Message-ID: a copy for each attempt and each resend. */
const maxFound = 20;
/** A message has 500 recipients at most (https://learn.microsoft.com/graph/api/user-sendmail). */
const maxRecipients = 500;

const properties = 'id,isDraft,createdDateTime,sentDateTime,toRecipients,ccRecipients,bccRecipients';

async function lookUp(
  client: GraphClient,
  mailbox: string,
  messageId: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Found[] | 'unknown' | 'forbidden'> {
  const query = {
    $filter: `internetMessageId eq ${odataText(messageId)}`,
    $select: properties,
    $top: String(maxFound),
  };
  const path = ['users', mailbox, 'messages'];
  const answer = await client.call({ method: 'GET', path, query, timeoutMs }, signal);
  if (isForbidden(answer)) return 'forbidden';
  const value = answer.kind === 'answer' && answer.status === 200 ? objectOf(answer.text)?.['value'] : null;
  return Array.isArray(value) ? value.slice(0, maxFound).flatMap(readFound) : 'unknown';
}

/** The permission to read is missing: 403 with a code that says so, unlike a tenant or network that refuses everything. */
export function isForbidden(answer: GraphAnswer): boolean {
  if (answer.kind !== 'answer' || answer.status !== 403) return false;
  const { verdict } = readAnswer(answer, 0);
  return verdict.kind === 'fault' && verdict.fault === 'config';
}

function readFound(item: unknown): Found[] {
  if (typeof item !== 'object' || item === null) return [];
  const fields = item as Record<string, unknown>;
  const { isDraft } = fields;
  const recipients = ['toRecipients', 'ccRecipients', 'bccRecipients'].flatMap((key) => addressesOf(fields[key]));
  return [
    {
      id: idOf(fields['id']),
      isDraft: isDraft === true,
      createdAt: timeOf(fields['createdDateTime']),
      sentAt: timeOf(fields['sentDateTime']),
      recipients: new Set(recipients.map(routingKey)),
    },
  ];
}

function timeOf(value: unknown): number | null {
  const time = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? null : time;
}

function addressesOf(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.slice(0, maxRecipients).flatMap((entry: { emailAddress?: { address?: unknown } } | null) => {
    const address = entry?.emailAddress?.address;
    return typeof address === 'string' ? [address] : [];
  });
}

async function remove(
  client: GraphClient,
  mailbox: string,
  id: string | null,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (id === null) return false;
  const answer = await client.call({ method: 'DELETE', path: ['users', mailbox, 'messages', id], timeoutMs }, signal);
  return answer.kind === 'answer' && (answer.status === 204 || answer.status === 404);
}
