/** Where the pages of messages and connectors are. */

export function hrefOfMessage(id: string): string {
  return `/ui/messages/${encodeURIComponent(id)}`;
}

export function hrefOfConnector(id: string): string {
  return `/ui/connectors/${encodeURIComponent(id)}`;
}

export function hrefOfWebhook(id: string): string {
  return `/ui/webhooks/${encodeURIComponent(id)}`;
}

/** `01a21c36…c4a542`: enough to recognise an id. */
export function shortId(id: string): string {
  return id.length <= 18 ? id : `${id.slice(0, 8)}…${id.slice(-6)}`;
}
