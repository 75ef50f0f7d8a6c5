import type { RedisTarget } from '../config/redis-target.ts';
import { within } from '../core/deadline.ts';
import { repeat } from '../core/repeat.ts';
import { connectRedis } from './redis-client.ts';

/** Tells the other replicas that there is something new, sooner than they look by themselves. Any hint may be lost. */
export type Hints = {
  /** @param head how far the sender has come */
  announce(head: string): void;
  /** @param listener called with what another replica, or this one, has announced */
  listen(listener: (head: string) => void): void;
};

/** For one process alone. */
export const NO_HINTS: Hints = { announce: () => {}, listen: () => {} };

/** How often to ask for the channel again: a connection that was lost unnoticed gives no answer. */
const RENEW_EVERY_MS = 5_000;
const RENEW_WITHIN_MS = 500;
/** An announcement has no time to wait: the others look by themselves a moment later. */
const COMMAND_TIMEOUT_MS = 1_000;

export type RedisHintsEvents = {
  /** Called once, if Redis does not let this user use the channel. */
  onHintsRefused(target: RedisTarget, channel: string): void;
};

type RedisHintsParts = {
  target: RedisTarget;
  keyPrefix: string;
  /** Sends on a connection for commands: one that listens takes none. */
  publish(channel: string, text: string): Promise<unknown>;
  events: RedisHintsEvents;
  /** Only for tests that are not about time. */
  renewEveryMs?: number;
};

/**
 * Hints through a channel of Redis, on a connection of its own that comes back by itself. It says nothing of failures: the
 * client of the cache meets the same ones, and says so.
 */
export function createRedisHints(parts: RedisHintsParts) {
  const { target, keyPrefix, publish, events, renewEveryMs = RENEW_EVERY_MS } = parts;
  const channel = `${keyPrefix}revocations`;
  let wasRefused = false;
  let stop = async () => {};

  const noteRefusal = (error: Error) => {
    if (wasRefused || !error.message.startsWith('NOPERM')) return;
    wasRefused = true;
    events.onHintsRefused(target, channel);
  };

  return {
    announce: (head: string) => void publish(channel, head).catch(noteRefusal),

    /** Opens the connection. */
    listen(listener: (head: string) => void): void {
      const redis = connectRedis(target, {}, COMMAND_TIMEOUT_MS);
      redis.on('error', () => {});
      redis.on('message', (_channel, head) => listener(head));
      const subscribe = () =>
        within(redis.subscribe(channel), RENEW_WITHIN_MS, () => new Error('Redis does not answer'));
      redis.on('ready', () => void subscribe().catch(noteRefusal));
      const renewing = repeat(subscribe, renewEveryMs, (error) => noteRefusal(error as Error));
      stop = async () => {
        redis.disconnect();
        await renewing.close();
      };
    },

    close: () => stop(),
  } satisfies Hints & { close(): Promise<void> };
}
