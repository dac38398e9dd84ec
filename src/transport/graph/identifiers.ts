/** Ids and URLs that Graph names: foreign text, checked before it becomes part of a request. Pure. */

/** Ids of messages have some 150 characters. */
const maxIdLength = 1_024;
const maxUrlLength = 8 * 1_024;

/**
 * The id of a message, or null. Ids are base64 in one of its alphabets, and a slash is encoded as part of a path. Without dots
 * none can climb in a path, however often it is decoded; without `?`, `#` and `%` none can end it.
 */
export function idOf(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > maxIdLength) return null;
  return /^[\w=+/-]+$/.test(value) ? value : null;
}

/** Microsoft's mail hosts, where upload sessions are. */
const uploadHosts = /(?:^|\.)(?:office\.com|office365\.com|outlook\.com|office365\.us|partner\.outlook\.cn)$/;

/** Whether attachments may go there: to Microsoft's mail hosts at the port of HTTPS, or to the origin of Graph itself. */
export function isUploadUrl(url: string, graphBaseUrl: string): boolean {
  const parsed = url.length > maxUrlLength ? null : URL.parse(url);
  if (parsed === null || parsed.protocol !== 'https:' || parsed.username !== '' || parsed.password !== '') return false;
  return parsed.origin === new URL(graphBaseUrl).origin || (parsed.port === '' && uploadHosts.test(parsed.hostname));
}
