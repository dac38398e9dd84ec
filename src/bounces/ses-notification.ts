/**
 * Notifications of Amazon SES that SNS sends by mail: JSON in place of a report.
 * https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html, https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
 */
import { maxRecipients } from './bounds.ts';
import type { Field } from './fields.ts';
import type { StatusRecipient } from './status-fields.ts';

export interface SesNotification {
  readonly kind: 'bounce' | 'delivery' | 'complaint';
  /** What it says of the message, as fields of a delivery status. */
  readonly message: readonly Field[];
  readonly recipients: readonly StatusRecipient[];
  readonly feedbackType: string;
}

type Values = Readonly<Record<string, unknown>>;

/** By the field From, which anyone can forge: what a notification says counts only for a message of ours and its recipients. */
export function isFromSns(from: string): boolean {
  return /@sns(?:\.[a-z\d-]{1,30})?\.amazonaws\.com(?:\.cn)?>?\s*$/i.test(from);
}

/** null: it is none. `text`: of the mail; SNS puts a line about the subscription below the JSON. */
export function sesNotification(from: string, text: string): SesNotification | null {
  if (!isFromSns(from)) return null;
  const outer = valuesOf(parsed(text.split(/\r?\n--\r?\n/, 1)[0] ?? ''));
  // Without raw message delivery, the notification is a text within one of SNS.
  const values = typeof outer['Message'] === 'string' ? valuesOf(parsed(outer['Message'])) : outer;
  const [bounce, complaint, delivery, mail] = ['bounce', 'complaint', 'delivery', 'mail'].map((name) =>
    valuesOf(values[name]),
  ) as [Values, Values, Values, Values];
  const about = { message: messageOf(mail), feedbackType: textOf(complaint['complaintFeedbackType']) };
  switch (textOf(values['notificationType']) || textOf(values['eventType'])) {
    case 'Bounce': {
      const isTransient = textOf(bounce['bounceType']) === 'Transient';
      return {
        kind: 'bounce',
        ...about,
        recipients: listOf(bounce['bouncedRecipients']).map((each) => bounced(each, isTransient)),
      };
    }
    case 'Complaint':
      return {
        kind: 'complaint',
        ...about,
        recipients: listOf(complaint['complainedRecipients']).map((each) => bounced(each, false)),
      };
    case 'Delivery': {
      const reply = textOf(delivery['smtpResponse']);
      const took = (address: unknown): StatusRecipient => recipient(textOf(address), 'delivered', '', reply);
      return { kind: 'delivery', ...about, recipients: listOf(delivery['recipients']).map(took) };
    }
    default:
      return null;
  }
}

/** A transient one without an action may be no more than an answer of an absent reader. */
function bounced(value: unknown, isTransient: boolean): StatusRecipient {
  const { emailAddress, action, status, diagnosticCode } = valuesOf(value);
  const isDelay = /^delayed$/i.test(textOf(action)) || (isTransient && textOf(action) === '');
  const reason = textOf(diagnosticCode).replace(/^\s*[a-z][a-z\d-]{0,20}\s*;\s*/i, '');
  return recipient(textOf(emailAddress), isDelay ? 'delayed' : 'failed', textOf(status), reason);
}

function recipient(
  address: string,
  action: StatusRecipient['action'],
  status: string,
  diagnostic: string,
): StatusRecipient {
  const code = /^[245]\.\d{1,3}\.\d{1,3}$/.test(status) ? status : null;
  return { original: '', final: address, action, status: code, smtpCode: null, statusText: '', diagnostic };
}

/** The Message-ID is there only where the identity sends the headers along; the id of SES always is. */
function messageOf(mail: Values): Field[] {
  const header = listOf(mail['headers']).find((each) => /^message-id$/i.test(textOf(valuesOf(each)['name'])));
  const messageId = textOf(valuesOf(header)['value']) || textOf(valuesOf(mail['commonHeaders'])['messageId']);
  const fields = [
    { name: 'x-original-message-id', value: messageId },
    { name: 'x-queue-id', value: textOf(mail['messageId']) },
  ];
  return fields.filter(({ value }) => value !== '');
}

/** Sendmail divides a line that is too long by `!`, a line end and a space (its mailer flag `L`). */
function parsed(text: string): unknown {
  for (const each of [text, text.replaceAll(/!\r?\n /g, '')]) {
    try {
      return JSON.parse(each);
    } catch {
      // Then it is none, or divided.
    }
  }
  return null;
}

function valuesOf(value: unknown): Values {
  return typeof value === 'object' && value !== null ? (value as Values) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 2_000) : '';
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, maxRecipients) : [];
}
