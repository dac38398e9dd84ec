/** The field that names the recipients whose copy goes to another address. */
import MimeNode from 'nodemailer/lib/mime-node';
import type { Message } from './message.ts';

const name = 'X-Postlane-Original-To';
/** More addresses than these are counted: a header has a bound. */
const mostNamed = 50;

function valueOf(redirected: ReadonlySet<string>): string {
  const addresses = [...redirected];
  const more = addresses.length - mostNamed;
  return `${addresses.slice(0, mostNamed).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}

/** The message with the field, in place of one that it brought; first, as Graph takes five fields. One that is finished stays as it is. */
export function withOriginalTo(message: Message, redirected: ReadonlySet<string>): Message {
  if (redirected.size === 0 || message.raw !== undefined) return message;
  const others = Object.entries(message.headers).filter(([each]) => each.toLowerCase() !== name.toLowerCase());
  return { ...message, headers: { [name]: [valueOf(redirected)], ...Object.fromEntries(others) } };
}

/** The field as a line, for a mail that came finished. */
export function originalToLine(redirected: ReadonlySet<string>): string {
  const node = new MimeNode('text/plain');
  node.setHeader(name, valueOf(redirected));
  const lines = node.buildHeaders().split(/\r\n(?![ \t])/);
  return `${lines.find((line) => line.startsWith(`${name}:`)) ?? ''}\r\n`;
}
