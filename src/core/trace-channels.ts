import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel';

/** One call to something outside the process. The name is one of few: never a key, a parameter, or an address of a user. */
export type Operation = { name: string };

export type OperationChannel = TracingChannel<Operation, unknown>;

/** Calls that take time, for metrics and traces. A listener gets their start, their end and their errors. */
export const operations = {
  /**
   * Named after the store and the method, such as `sessions.findAll`; or `transaction`, from its begin to the end of what
   * follows the commit.
   */
  database: tracingChannel<Operation, unknown>('doorward:database'),
  /** Named after the method of the cache: `get`. In embedded mode the cache is in the process. */
  redis: tracingChannel<Operation, unknown>('doorward:redis'),
  /** One attempt to deliver a message, named after the lane. */
  delivery: tracingChannel<Operation, unknown>('doorward:delivery'),
};

type Method = (...parameters: never[]) => Promise<unknown>;

/** Runs `call`, and publishes it if anyone listens. Otherwise it costs one look at a flag. */
export function traced<T>(channel: OperationChannel, name: string, call: () => Promise<T>): Promise<T> {
  return channel.hasSubscribers ? channel.tracePromise(call, { name }) : call();
}

/**
 * The same methods, and each call of them is published if anyone listens. Otherwise it costs one look at a flag.
 * @param prefix of the names, before that of the method
 */
export function publishCalls<Methods extends Record<keyof Methods, Method>>(
  channel: OperationChannel,
  prefix: string,
  methods: Methods,
): Methods {
  return mapMethods(methods, (method, key) => {
    const name = prefix + key;
    return (...parameters) =>
      channel.hasSubscribers
        ? channel.tracePromise(method, { name }, undefined, ...parameters)
        : method(...parameters);
  });
}

/** An object with the same methods, each of them wrapped. */
export function mapMethods<Methods extends Record<keyof Methods, Method>>(
  methods: Methods,
  wrap: (method: Method, name: string) => Method,
): Methods {
  const wrapped = Object.entries<Method>(methods).map(([name, method]) => [name, wrap(method, name)]);
  return Object.fromEntries(wrapped) as Methods;
}
