import type { Config, Texts } from '../config/settings.ts';
import type { Log } from '../core/log.ts';
import type { Instrument } from './traces.ts';

/**
 * Starts tracing, if the settings say where traces go. Otherwise nothing of OpenTelemetry is loaded.
 * @param env also has the variables that OpenTelemetry reads by itself
 * @returns undefined when nothing is traced
 */
export async function openTraces(config: Config, env: Texts, log: Log): Promise<Instrument | undefined> {
  if (config.OTEL_EXPORTER_OTLP_ENDPOINT === undefined || isSwitchedOff(env)) return undefined;
  const { startTraces } = await import('./traces.ts');
  return startTraces(config, env, log);
}

/** The two variables by which OpenTelemetry is switched off where a collector is set for all services at once. */
function isSwitchedOff({ OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER }: Texts): boolean {
  return OTEL_SDK_DISABLED?.toLowerCase() === 'true' || OTEL_TRACES_EXPORTER === 'none';
}
