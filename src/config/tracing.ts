/** The `tracing` section: how far a trace goes with a message. Whether there are traces at all is the SDK's to say. */
import { z } from 'zod';
import * as value from './values.ts';

export const tracing = z
  .strictObject({
    propagate: z
      .boolean()
      .default(true)
      .describe(
        'The trace context travels with a message that is enqueued here, so that workers go on with the trace.',
      ),
    parentWithin: value
      .durationOrNone(1)
      .prefault('60s')
      .describe(
        'A first attempt that begins within this time belongs to the trace in which the message was sent; a later one starts a new trace, with a link.',
      ),
  })
  .prefault({})
  .describe('Traces, where the process has an SDK of OpenTelemetry.');

export interface TracingSettings {
  readonly propagate: boolean;
  readonly parentWithinMs: number;
}
