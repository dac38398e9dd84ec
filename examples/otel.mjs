/**
 * Traces of a process, by OTLP over HTTP. Loaded before the program:
 *
 *   export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=postlane-worker
 *   NODE_OPTIONS="--import ./otel.mjs" postlane worker
 *
 * The same for `postlane serve`, `postlane smtp`, and for an application that sends.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const service = resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME ?? 'postlane' });

new NodeTracerProvider({
  resource: defaultResource().merge(service),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
}).register();
