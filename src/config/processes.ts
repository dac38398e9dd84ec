/** The sections about the worker process, and about what a process shows to Prometheus. */
import { z } from 'zod';
import * as value from './values.ts';

export const worker = z
  .strictObject({
    slots: z.int().min(1).max(10_000).default(64).describe('Messages that one process sends at once.'),
    maxBytesInFlight: value.size
      .prefault('256MiB')
      .describe('Bytes of mail, as sent, that one process holds at once; one connector gets at most half.'),
    drain: value.duration(1).prefault('60s').describe('How long a stop waits for running attempts.'),
    health: z
      .strictObject({
        port: value.port.optional().describe('Port of the health check. Default: no health check.'),
        host: value.host.prefault('127.0.0.1').describe('Address that the health check listens on.'),
      })
      .prefault({})
      .describe('HTTP health check.'),
  })
  .prefault({})
  .describe('The worker process.');

/** Connectors with series of their own: ten each on average, at most. */
const defaultConnectors = 500;
const mostConnectors = 5_000;

export const metrics = z
  .strictObject({
    listen: value.listenOrNone
      .prefault('127.0.0.1:9464')
      .describe(
        'Address at which a worker answers `GET /metrics`, or `none`. Port 0 is a free port, which the log names.',
      ),
    connectors: z
      .int()
      .min(0)
      .max(mostConnectors)
      .default(defaultConnectors)
      .describe('Connectors with series of their own, at most: those that are not idle, the ones in trouble first.'),
    global: z
      .boolean()
      .default(false)
      .describe(
        'Whether a worker shows the gauges of the whole fleet, too. Otherwise `postlane serve` does; only one process should.',
      ),
  })
  .prefault({})
  .describe('Metrics for Prometheus.');
