import type { Worker } from 'node:cluster';
import { Registry } from '@prometheus-io/client';
import { within } from '../core/deadline.ts';
import type { Snapshot } from './open-metrics.ts';

/** A scrape goes on without a worker that has no time to answer. */
const ANSWER_WITHIN_MS = 1_000;

/** What goes up only: it must not go down when a worker ends. */
const COUNTS = ['counter', 'histogram'];

type Question = { metricsNumber: number };
type Reply = Question & { snapshot: Snapshot };

/** In a worker: sends its metrics to the primary whenever that asks for them. */
export function answerPrimary(worker: Worker, read: () => Promise<Snapshot>): void {
  worker.on('message', (message: unknown) => {
    if (!isQuestion(message)) return;
    void read().then((snapshot) => worker.send({ ...message, snapshot }));
  });
}

function isQuestion(message: unknown): message is Question {
  return Object(message).metricsNumber !== undefined;
}

/**
 * In the primary: the metrics of all workers.
 *
 * If the sum of a counter became smaller, Prometheus would take all of it for new. So a worker that is too busy to answer
 * counts with its last answer, and so do the counters of those that have ended.
 * @param workers those that serve now
 * @returns snapshots whose sum is that of the whole server. Read them one after the other
 */
export function createWorkerMetrics(workers: () => Worker[]): () => Promise<Snapshot[]> {
  const last = new Map<number, Snapshot>();
  let ended: Snapshot = [];
  let questions = 0;

  async function ask(worker: Worker): Promise<void> {
    questions += 1;
    last.set(worker.id, await answerOf(worker, questions));
  }

  return async () => {
    const present = workers();
    const gone = [...last].filter(([id]) => present.every((worker) => worker.id !== id));
    for (const [id, snapshot] of gone) {
      ended = await sumOf([ended, snapshot.filter(({ type }) => COUNTS.includes(String(type)))]);
      last.delete(id);
    }
    await Promise.allSettled(present.map(ask));
    return [...last.values(), ended];
  };
}

function answerOf(worker: Worker, metricsNumber: number): Promise<Snapshot> {
  const { promise, resolve } = Promise.withResolvers<Snapshot>();
  const listen = (message: Partial<Reply>) => {
    if (message.metricsNumber === metricsNumber) resolve((message as Reply).snapshot);
  };
  worker.on('message', listen);
  // If it is gone, no answer comes.
  worker.send({ metricsNumber }, () => {});
  const late = () => new Error('the worker is too busy');
  return within(promise, ANSWER_WITHIN_MS, late).finally(() => worker.off('message', listen));
}

function sumOf(snapshots: Snapshot[]): Promise<Snapshot> {
  return Registry.aggregate(snapshots).getMetricsAsJSON();
}
