/** How a connector is, in one word, and which of them an operator looks at first. */
import { unreachable } from '../errors.ts';
import type { LaneSurvey } from '../queue/lanes/survey.ts';
import { sends, type Direction } from '../routing/connector.ts';

/**
 * The worst first. `fault`: no success has followed a fault yet. `suspect`: messages wait aside until it is known whose fault refusals are.
 * `quota`: a limit of a day or a window, or one of the group, is used up. `paused`: by an operator. `slowed`: the server asked for a pause. `retrying`: all
 * that is there was deferred. `limited`: at its rate or concurrency. `incoming`: it never sends. */
export const connectorStates = [
  'fault',
  'suspect',
  'quota',
  'paused',
  'slowed',
  'retrying',
  'limited',
  'sending',
  'idle',
  'incoming',
] as const;
export type ConnectorState = (typeof connectorStates)[number];

type Looked = Pick<LaneSurvey, 'waiting' | 'active' | 'delayed' | 'paused' | 'waitingFor' | 'fault' | 'setAside'>;

/** `lane` is null where it is idle; `direction` where the connector is not configured. */
export function stateOf(lane: Looked | null, direction: Direction | null): ConnectorState {
  if (direction !== null && !sends(direction)) return 'incoming';
  if (lane === null) return 'idle';
  if (lane.paused) return 'paused';
  if (lane.fault !== null) return 'fault';
  if (lane.setAside > 0) return 'suspect';
  switch (lane.waitingFor) {
    case 'pause':
      return 'paused';
    case 'fault':
      return 'fault';
    case 'recipients-per-day':
    case 'bytes':
    case 'group':
      return 'quota';
    case 'slow-down':
      return 'slowed';
    case 'key':
      return 'fault';
    case 'retry':
      return lane.active > 0 ? 'sending' : 'retrying';
    case 'rate':
    case 'concurrency':
      return 'limited';
    case 'work':
    case 'nothing':
      return lane.active + lane.waiting > 0 ? 'sending' : 'idle';
    default:
      return unreachable(lane.waitingFor);
  }
}

/** More is worse. */
export function troubleOf(state: ConnectorState): number {
  return connectorStates.length - connectorStates.indexOf(state);
}
