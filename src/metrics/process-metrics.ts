/**
 * What every program in Node shows, by the names that the library gives it, read at the time of a scrape. The library's own collectors
 * observe each garbage collection and wake up ten times a second for what Postlane does not show.
 */
import { performance } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from '@prometheus-io/client';

/** → sets them to what they are now. */
export function watchProcess(registry: Registry): () => void {
  const about = (name: string, help: string) => ({ name, help, registers: [registry] });
  const cpu = new Counter(about('process_cpu_seconds_total', 'Processor time, of user and system.'));
  const active = new Counter(
    about('nodejs_eventloop_active_seconds_total', 'Time in which the event loop did something.'),
  );
  const memory = new Gauge(about('process_resident_memory_bytes', 'Resident memory.'));
  const heap = new Gauge(about('nodejs_heap_size_used_bytes', 'Heap of JavaScript in use.'));
  const external = new Gauge(
    about('nodejs_external_memory_bytes', 'Memory outside of the heap, such as that of buffers.'),
  );
  new Gauge(about('process_start_time_seconds', 'When the process started.')).set(performance.timeOrigin / 1_000);
  return () => {
    const { user, system } = process.cpuUsage();
    cpu.reset();
    cpu.inc((user + system) / 1e6);
    active.reset();
    active.inc(performance.eventLoopUtilization().active / 1_000);
    const used = process.memoryUsage();
    memory.set(used.rss);
    heap.set(used.heapUsed);
    external.set(used.external);
  };
}
