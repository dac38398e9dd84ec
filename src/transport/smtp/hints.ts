/** What to do about a refused login, where the reply does not say so itself: a table. Pure. */
import type { Reply } from '../transport.ts';

interface Hint {
  readonly enhanced?: RegExp;
  readonly text?: RegExp;
  readonly hint: string;
  readonly source: string;
}

const submission =
  'https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission';
const basicAuthEnd =
  'https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/deprecation-of-basic-authentication-exchange-online';
const sendAsApp =
  'https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth';
const appPasswords = 'https://support.google.com/mail/answer/7126229';

const hints: readonly Hint[] = [
  {
    enhanced: /^5\.7\.30$/,
    hint: 'Exchange Online no longer accepts passwords: use smtp.auth.oauth2, or graph',
    source: basicAuthEnd,
  },
  {
    text: /SmtpClientAuthentication is disabled/i,
    hint: 'SMTP AUTH is off for the tenant or the mailbox: Set-CASMailbox -SmtpClientAuthenticationDisabled $false, or use graph',
    source: submission,
  },
  {
    enhanced: /^5\.7\.139$/,
    hint: 'Entra refuses the login: security defaults or Conditional Access block passwords; use smtp.auth.oauth2, or graph',
    source: submission,
  },
  {
    enhanced: /^5\.7\.3$/,
    hint: 'with a token: grant SMTP.SendAsApp with admin consent, New-ServicePrincipal with the object id of the enterprise application, Add-MailboxPermission, and SMTP AUTH on for the mailbox',
    source: sendAsApp,
  },
  {
    enhanced: /^5\.7\.9$/,
    text: /application-specific password/i,
    hint: 'Google wants an app password, or smtp.auth.oauth2',
    source: appPasswords,
  },
];

/** The reply, with its hint if there is one. */
export function withHint(reply: Reply): Reply {
  const found = hints.find(
    ({ enhanced, text }) =>
      (enhanced === undefined || enhanced.test(reply.enhancedCode ?? '')) &&
      (text === undefined || text.test(reply.text ?? '')),
  );
  return found === undefined ? reply : { ...reply, text: `${reply.text ?? ''} (${found.hint})` };
}
