/**
 * The id by which a server took a message, from its reply to the final dot: what an administrator of that server searches its log for. No
 * RFC gives it a place; these are the forms of the servers in use.
 */

/** Ids have a digit and no blank; a word such as `mail` is none. */
const forms: readonly RegExp[] = [
  // Postfix, Haraka, OpenSMTPD, Postal, Amazon: `Ok: queued as 4XyZ12abcD`, `Message Queued (…)`, `Message accepted for delivery: id`.
  /\bqueued as[ :]+<?([\w.@+/=-]{4,200})>?/i,
  /\bqueued \(([\w.@+/=-]{4,200})\)/i,
  // Exim: `OK id=1u2ABC-000000001Xy-1aBc`.
  /\bid=([\w.@+/=-]{4,200})/i,
  // Exchange: `<id@host> [InternalId=123, Hostname=…] Queued mail for delivery`.
  /^(?:\d{3} )?(?:\d\.\d{1,3}\.\d{1,3} )?<([^<>\s]{4,200})> \[InternalId=/i,
  // Sendmail: `2.0.0 49A1xyz012345 Message accepted for delivery`. OpenSMTPD: `2.0.0 1a2b3c4d Message accepted for delivery`.
  /^(?:\d{3} )?(?:\d\.\d{1,3}\.\d{1,3} )?([\w.-]{6,200}) Message accepted/i,
  // Google: `2.0.0 OK  1732750000 ffacd0b85a97d-385fb…si1234567wrx.12 - gsmtp`.
  /\bOK +\d+ ([\w.-]{8,200}) - gsmtp/i,
  // Amazon SES: `250 Ok 0102018c7f…-000000`.
  /^(?:\d{3} )?Ok ([\da-f]{16}-[\da-f-]{20,80})$/i,
];

/** A word or a form that stands in each of them: most replies have none. */
const hint = /queued|id=|accepted|gsmtp|internalid|ok [\da-f]{16}/i;

/** Null if the reply names none. */
export function serverIdOf(reply: string): string | null {
  // The id is at the beginning; a reply may have 500 characters.
  const head = reply.slice(0, 400);
  if (!hint.test(head)) return null;
  for (const form of forms) {
    const id = form.exec(head)?.[1];
    if (id !== undefined && /\d/.test(id)) return id;
  }
  return null;
}
