import type { Cache } from '../cache/cache.ts';
import type { RedisCacheEvents } from '../cache/redis-cache.ts';
import type { RedisHintsEvents } from '../cache/redis-hints.ts';
import type { Config } from '../config/config.ts';
import type { Log } from '../core/log.ts';
import { patiently } from '../core/patience.ts';
import { explainChannel, explainRedis } from './explain-redis.ts';

/** The server works without Redis, so a start does not wait much longer than Redis itself needs to start. */
const WAIT_AT_MOST_MS = 10_000;
/** How long to wait until it is known whether there is a connection. */
const CONNECT_AT_MOST_MS = 1_500;
/** A connection that can be made is made in about this time. */
const FIRST_WAIT_MS = 10;
/** Nothing is kept there. */
const CHECKED_KEY = 'start';

/** What stays wrong until somebody corrects the settings. */
const WRONG_SETTINGS =
  /WRONGPASS|NOAUTH|NOPERM|DB index is out of range|cluster support disabled|CERT_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_|EPROTO|before secure TLS connection/;

/** Redis refuses what the settings say. The message is for an operator. */
export class RedisSettingsError extends Error {
  override readonly name = 'RedisSettingsError';
}

export type RedisWatch = ReturnType<typeof createRedisWatch>;

/** Writes to the log what the client of Redis says. During a start that is one line for each reason to wait. */
export function createRedisWatch(log: Log) {
  let isStarting = true;
  let connectionError: Error | undefined;

  const events: RedisCacheEvents & RedisHintsEvents = {
    onError: (err, target) => {
      connectionError = err;
      if (isStarting) return;
      log.warn({ err }, `the connection to Redis failed, trying again: ${explainRedis(err, target)}`);
    },
    onBreak: (isOpen) => {
      if (isStarting) return;
      log.warn({}, isOpen ? 'Redis does not answer: going on without it' : 'Redis answers again');
    },
    onHintsRefused: (target, channel) => {
      log.warn({}, explainChannel(target, channel));
    },
  };

  /**
   * Waits until Redis takes commands, changes included; at most for ten seconds, since the server works without it.
   * @param say called with each line about a wait
   * @param ended ends the wait in silence, such as when the start fails for another reason
   * @throws RedisSettingsError
   */
  async function untilUsable(
    cache: Cache,
    { REDIS_URL: target, STARTUP_TIMEOUT }: Config,
    say = (line: string): void => log.warn({}, line),
    ended?: AbortSignal,
  ): Promise<void> {
    if (target === undefined) return;
    const waitMs = Math.min(STARTUP_TIMEOUT, WAIT_AT_MOST_MS);
    const patientUntil = performance.now() + waitMs;
    let said = '';
    try {
      await patiently(() => check(cache), {
        giveUpAt: Math.max(patientUntil, performance.now() + CONNECT_AT_MOST_MS),
        firstWaitMs: FIRST_WAIT_MS,
        ended,
        mayPass: (error) =>
          !isWrongSetting(reasonOf(error)) && (performance.now() < patientUntil || !isKnown(error)),
        onWait: (error) => {
          const reason = explainRedis(reasonOf(error), target);
          // Before the first connection is made there is nothing to say.
          if (reason === said || !isKnown(error)) return;
          said = reason;
          say(`${reason}. Waiting for that, up to ${waitMs / 1000} s`);
        },
      });
      if (said !== '') log.warn({}, 'Redis can be used');
    } catch (error) {
      const reason = explainRedis(reasonOf(error), target);
      if (isWrongSetting(reasonOf(error))) throw new RedisSettingsError(`${reason}.`);
      if (ended?.aborted) return;
      log.warn({}, `${reason}. Starting without Redis, which may come later`);
    } finally {
      isStarting = false;
    }
  }

  /** The client answers with an error of its own while there is no connection: why there is none was said before. */
  function reasonOf(error: unknown): Error {
    const isReply = error instanceof Error && error.name === 'ReplyError';
    return isReply ? error : (connectionError ?? (error as Error));
  }

  function isKnown(error: unknown): boolean {
    return connectionError !== undefined || reasonOf(error).name === 'ReplyError';
  }

  async function check(cache: Cache): Promise<void> {
    await cache.ping();
    // With a database number that does not exist, the client goes on with database 0.
    if (connectionError !== undefined && isWrongSetting(connectionError)) throw connectionError;
    connectionError = undefined;
    // Refused by a replica, which answers a ping; a Redis that is full does it.
    await cache.remove(CHECKED_KEY);
  }

  return { events, untilUsable };
}

function isWrongSetting(error: Error): boolean {
  const { message, code } = ('lastNodeError' in error ? error.lastNodeError : error) as NodeJS.ErrnoException;
  return WRONG_SETTINGS.test(`${code} ${message}`);
}
