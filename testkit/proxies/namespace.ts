/**
 * A network namespace with one neighbour, this machine, and no other route: what runs in it reaches nothing else, and the kernel counts
 * what is tried all the same. It ends with its guarded process, and the link with it.
 */
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { startGuarded } from '../guarded.ts';

const run = promisify(execFile);

interface Attempts {
  /** Packets for which there was no route, IPv4 and IPv6. */
  readonly withoutRoute: number;
  /** UDP datagrams: a name that is looked up is one. */
  readonly datagrams: number;
}

export interface Namespace {
  /** Of this machine, as the namespace reaches it. */
  readonly neighbour: string;
  /** Put before a command, it runs the command inside. */
  readonly within: readonly string[];
  /** Since the namespace was made. */
  attempts(): Promise<Attempts>;
  end(): Promise<void>;
}

/** Why there can be none here; null if there can. */
export function namespaceMissing(): string | null {
  if (process.platform !== 'linux') return 'network namespaces are Linux only';
  if (process.getuid?.() !== 0) return 'a network namespace needs root';
  const missing = ['/usr/bin/unshare', '/usr/bin/nsenter', '/usr/sbin/ip'].find((program) => !existsSync(program));
  return missing === undefined ? null : `${missing} is missing (Debian: apt-get install iproute2 util-linux)`;
}

/** @throws Error where the kernel does not let this process make one. */
export async function startNamespace(): Promise<Namespace> {
  const guarded = await startGuarded(['/usr/bin/unshare', '--net', '/bin/sleep', 'infinity']);
  const within = ['/usr/bin/nsenter', `--net=/proc/${guarded.pid}/ns/net`];
  const inside = async (...command: readonly string[]): Promise<string> => {
    const [program = '', ...args] = [...within, ...command];
    return (await run(program, args)).stdout;
  };
  const name = `plt${randomInt(1_000_000)}`;
  const network = `10.${randomInt(200, 250)}.${randomInt(250)}`;
  try {
    await run('/usr/sbin/ip', [
      'link',
      'add',
      name,
      'type',
      'veth',
      'peer',
      'name',
      'out',
      'netns',
      String(guarded.pid),
    ]);
    await run('/usr/sbin/ip', ['address', 'add', `${network}.1/30`, 'dev', name]);
    await run('/usr/sbin/ip', ['link', 'set', name, 'up']);
    await inside('/usr/sbin/ip', 'link', 'set', 'lo', 'up');
    await inside('/usr/sbin/ip', 'address', 'add', `${network}.2/30`, 'dev', 'out');
    await inside('/usr/sbin/ip', 'link', 'set', 'out', 'up');
  } catch (error) {
    await guarded.end();
    throw error;
  }
  return {
    neighbour: `${network}.1`,
    within,
    async attempts() {
      const [ipv4, ipv6] = await Promise.all([
        inside('/bin/cat', '/proc/thread-self/net/snmp'),
        inside('/bin/cat', '/proc/thread-self/net/snmp6'),
      ]);
      return {
        withoutRoute: counter(ipv4, 'Ip', 'OutNoRoutes') + sixth(ipv6, 'Ip6OutNoRoutes'),
        datagrams: counter(ipv4, 'Udp', 'OutDatagrams') + sixth(ipv6, 'Udp6OutDatagrams'),
      };
    },
    async end() {
      await guarded.end();
    },
  };
}

/** `/proc/net/snmp` has two lines for each protocol: names, and numbers. */
function counter(text: string, protocol: string, name: string): number {
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith(`${protocol}:`))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf(name)]);
}

/** `/proc/net/snmp6` has a line for each. */
function sixth(text: string, name: string): number {
  return Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(text)?.[1]);
}
