/** Which Redis it is and how to log in to it: one server, the servers of a Cluster, or what Sentinels say is the master. */

export interface RedisTls {
  /** PEM. Private CAs that replace the public ones. */
  readonly ca?: string;
  /** PEM. The client's own certificate and its key, for a server that asks for one. */
  readonly cert?: string;
  readonly key?: string;
  /** Name that the server's certificate must carry. Default: the host of the URL. */
  readonly servername?: string;
}

export interface RedisSentinel {
  /** What the Sentinels call the master. */
  readonly name: string;
  /** URLs of Sentinels; `rediss://` for TLS. Some are enough. */
  readonly nodes: readonly string[];
  /** Of the Sentinels; they have users of their own. */
  readonly username?: string;
  readonly password?: string;
  /** For the connections to the Sentinels. */
  readonly tls?: RedisTls;
}

type RedisServers =
  /** One server: `redis://` or `rediss://`, with user, password and database if it has any. */
  | { readonly url: string }
  /** URLs of nodes; `rediss://` for TLS. Some are enough: they name the others. */
  | { readonly cluster: { readonly nodes: readonly string[] } }
  /** `tls` (an empty one will do) says that the master speaks TLS, as its address comes without a scheme. */
  | { readonly sentinel: RedisSentinel; readonly db?: number };

export type RedisSettings = RedisServers & {
  readonly username?: string;
  readonly password?: string;
  readonly tls?: RedisTls;
};
