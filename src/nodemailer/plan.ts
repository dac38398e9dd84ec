/** Decides whether the message schema has all that a mail says, or whether only the mail as nodemailer composed it has. */
import { isRecord, plainText } from './contents.ts';
import { alternativesOnlyComposed, eventOnlyComposed } from './forms.ts';
import type { NodemailerMail } from './mail.ts';

/** Fields that a structured message has, or that `structured.ts` puts into its header. */
const carried: ReadonlySet<string> = new Set([
  'from',
  'sender',
  'to',
  'cc',
  'bcc',
  'replyTo',
  'subject',
  'text',
  'html',
  'alternatives',
  'icalEvent',
  'attachments',
  'headers',
  'inReplyTo',
  'references',
  'envelope',
  'priority',
  'xMailer',
]);

/** Fields that nodemailer, or a plugin that fills in templates, has dealt with: nothing of them is in the mail. */
const traceless: ReadonlySet<string> = new Set([
  'postlane',
  'signal',
  'dsn',
  'disableFileAccess',
  'disableUrlAccess',
  'maxRecipients',
  'attachDataUrls',
  'textEncoding',
  'newline',
  'boundaryPrefix',
  'baseBoundary',
  'template',
  'context',
  'auth',
  'ses',
]);

const attachmentFields: ReadonlySet<string> = new Set([
  'filename',
  'content',
  'path',
  'href',
  'httpHeaders',
  'tls',
  'encoding',
  'contentType',
  'contentDisposition',
  'cid',
]);

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return false;
  return !Array.isArray(value) || value.length > 0;
}

/** What only the composed mail has, such as `amp`; null if a structured message has all of it. */
export function onlyComposed({ data, mailer }: NodemailerMail): string | null {
  for (const [name, value] of Object.entries(data)) {
    if (!isSet(value) || traceless.has(name)) continue;
    if (!carried.has(name)) return name;
    const part = partOnlyComposed(name, value);
    if (part !== null) return part;
  }
  if ('dkim' in mailer && isSet(mailer.dkim)) return 'dkim';
  // Plugins of this step change the compiled mail. Where they cannot be seen, there may be some.
  const plugins: unknown = '_userPlugins' in mailer ? mailer._userPlugins : null;
  return isRecord(plugins) && !isSet(plugins['stream']) ? null : 'plugins';
}

function partOnlyComposed(name: string, value: unknown): string | null {
  switch (name) {
    case 'from':
    case 'sender':
    case 'to':
    case 'cc':
    case 'bcc':
    case 'replyTo':
      return hasGroup(value) ? `${name} (a group)` : null;
    case 'text':
    case 'html':
      return isRecord(value) && (isSet(value['raw']) || isSet(value['headers'])) ? name : null;
    case 'headers':
      return headersOnlyComposed(value);
    case 'alternatives':
      return alternativesOnlyComposed(value);
    case 'icalEvent':
      return eventOnlyComposed(value);
    case 'attachments':
      return attachmentsOnlyComposed(value);
    default:
      return null;
  }
}

function hasGroup(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasGroup);
  // Of what stands in quotes a colon is no sign; an address has none.
  return typeof value === 'string' && value.replaceAll(/"[^"]*"/g, '').includes(':');
}

/** Fields that a structured message has under names of its own, or that only a system writes. */
const ownHeader =
  /^(?:from|sender|reply-to|to|cc|bcc|subject|date|message-id|in-reply-to|references|mime-version|content-.*|resent-.*|received|dkim-signature|return-path|arc-.*)$/i;

function headersOnlyComposed(value: unknown): string | null {
  for (const [name, values] of headerEntries(value)) {
    if (ownHeader.test(name)) return `headers.${name}`;
    if (!values.every((each) => ['string', 'number', 'boolean'].includes(typeof each))) return `headers.${name}`;
  }
  return null;
}

/** Both forms: an object of values or lists, and a list of `{ key, value }`. */
export function headerEntries(value: unknown): [string, unknown[]][] {
  const list = (each: unknown): unknown[] => (Array.isArray(each) ? (each as unknown[]) : isSet(each) ? [each] : []);
  if (Array.isArray(value)) {
    return value.filter(isRecord).map((entry) => [plainText(entry['key']), list(entry['value'])]);
  }
  return isRecord(value) ? Object.entries(value).map(([name, each]) => [name, list(each)]) : [];
}

function attachmentsOnlyComposed(value: unknown): string | null {
  if (!Array.isArray(value)) return 'attachments';
  for (const [index, each] of value.entries()) {
    const field = `attachments[${index}]`;
    if (!isRecord(each)) return field;
    const odd = Object.keys(each).find((key) => isSet(each[key]) && !attachmentFields.has(key));
    if (odd !== undefined) return `${field}.${odd}`;
    if (each['filename'] === false) return `${field}.filename`;
    const { contentDisposition: shown } = each;
    if (isSet(shown) && shown !== 'attachment' && shown !== 'inline') return `${field}.contentDisposition`;
    if (/^(?:multipart|message)\//i.test(plainText(each['contentType']))) return `${field}.contentType`;
  }
  return null;
}
