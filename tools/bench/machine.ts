/** Describes the machine: hardware, kernel, versions. Figures of two machines do not compare. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { findRedisServer } from '../../testkit/redis-server.mjs';
import { appendfsync } from './store.ts';

export function describeMachine(): Record<string, string> {
  const [first] = cpus();
  return {
    processor: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.version,
    bullmq: versionOf('bullmq'),
    ioredis: versionOf('ioredis'),
    nodemailer: versionOf('nodemailer'),
    redis: output(findRedisServer(process.env['PATH'] ?? '') ?? 'redis-server', ['--version'], /v=(\S+)/),
    postfix: output('/usr/sbin/postconf', ['-d', '-h', 'mail_version'], /^(\S+)/),
    fsync: `appendonly yes, appendfsync ${appendfsync}`,
  };
}

function versionOf(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function output(command: string, args: readonly string[], pattern: RegExp): string {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return pattern.exec(stdout ?? '')?.[1] ?? 'not installed';
}
