/** Connections of HTTPS requests through a proxy: TLS is with the server itself, and verified as without a proxy. */
import https from 'node:https';
import type { ClientRequestArgs } from 'node:http';
import type { Socket } from 'node:net';
import { callbackify } from 'node:util';
import type { ProxySettings } from './proxy.ts';
import { openTunnel, ProxyFailure } from './tunnel.ts';

/** How long a proxy may take to connect, and the server for TLS, each: less than a token may take, so that its failure is told. */
const tunnelMs = 15_000;

/** Option of a request: ends the connection that is being opened for it, which neither `destroy` of the agent nor that of the request knows. */
export interface Opening {
  readonly opening: AbortSignal;
}

/**
 * Every request has an `Opening`. `maxSockets` bounds connections that exist: Node's agent does not count those that are being opened, so
 * the caller bounds its requests.
 */
export function createProxyAgent(options: https.AgentOptions, proxy: ProxySettings): https.Agent {
  const agent = new https.Agent(options);
  const begin = agent.createConnection.bind(agent);
  const open = callbackify(async (about: ClientRequestArgs & Opening): Promise<Socket> => {
    const { opening: signal } = about;
    const target = { host: about.host ?? '', port: Number(about.port) };
    const socket = await openTunnel(proxy, target, { signal, timeoutMs: tunnelMs });
    return secured(begin({ ...about, socket } as ClientRequestArgs) as Socket, signal);
  });
  agent.createConnection = (about, done) => {
    open(about as ClientRequestArgs & Opening, (error, socket) => done?.(error, socket));
    return undefined;
  };
  return agent;
}

/** Handed out after the handshake only: the agent keeps a connection whose request has ended meanwhile, for the next one. */
function secured(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const end = (failure: Error | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('secureConnect', onSecure).off('close', onClose);
      if (failure === null) return resolve(socket);
      socket.destroy();
      reject(failure);
    };
    const onSecure = (): void => end(null);
    const onClose = (): void => end(coded('ECONNRESET', 'the connection was closed before it was secure'));
    const onAbort = (): void => end(new ProxyFailure('EPROXY', 'stopped while connecting'));
    const timer = setTimeout(() => end(coded('ETIMEDOUT', `no TLS session within ${tunnelMs} ms`)), tunnelMs);
    signal.addEventListener('abort', onAbort);
    // It stays: the agent has none of its own for a connection that waits in its pool.
    socket.on('error', end);
    socket.once('secureConnect', onSecure).once('close', onClose);
    if (signal.aborted) onAbort();
  });
}

function coded(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}
