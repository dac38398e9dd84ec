/** What routing knows of a connector: who it is, which way it faces, and which addresses it may send for. */

export type Direction = 'incoming' | 'outgoing' | 'both';

/** `addresses` holds normalised patterns: `local@domain` or `*@domain`, domain as A-label, all in lower case. */
export interface Connector {
  readonly id: string;
  readonly direction: Direction;
  readonly addresses: readonly string[];
}

/** Only these directions ever send. */
export function sends(direction: Direction): boolean {
  return direction === 'outgoing' || direction === 'both';
}

export type RouteRule = 'exact' | 'domain' | 'default' | 'none';

/** Which connector sends for a From: `connector` is null exactly if `rule` is `none`. */
export interface Route {
  readonly connector: string | null;
  readonly rule: RouteRule;
  readonly passedOver: readonly { readonly connector: string; readonly why: string }[];
}
