/** `npm run bench:revocations`: the goals of the revocation feed that can be measured on a healthy system. See README.md. */
import { Command, InvalidArgumentError } from 'commander';
import { createFeedPlace, type FeedPlace } from './revocations/feed-place.ts';
import { type Finding, tableOf, verdictOf } from './revocations/finding.ts';
import { type LiveCheckPlan, measureLiveChecks } from './revocations/live-checks.ts';
import { measurePropagation, type PropagationPlan } from './revocations/propagation.ts';
import { measureStreams, type StreamPlan } from './revocations/streams.ts';
import { measureVerifying, type VerifyingPlan } from './revocations/verifying.ts';
import { measureWire } from './revocations/wire.ts';

type Plan = {
  propagation: PropagationPlan;
  live: LiveCheckPlan;
  entries: number;
  /** The cheaper their check is, the more the rest of a verification counts. */
  algorithms: string[];
  verifying: VerifyingPlan;
  streams: StreamPlan;
};
type Part = [goal: string, measure: (place: FeedPlace) => Promise<Finding[]>];

/** 500,000 sign-outs in half an hour, the default life of a token, are 278 a second. */
const WHOLE: Plan = {
  propagation: { replicas: 3, streamed: 5_000, polled: 1_500, seldom: 200, perSecond: 50 },
  live: { entries: 500_000, checks: 10_000_000 },
  entries: 500_000,
  algorithms: ['ES256', 'RS256'],
  verifying: { entries: 500_000, rounds: 40, roundMs: 400 },
  streams: {
    ...{ streams: 1_000, seconds: 8, rounds: 3, revocationsPerSecond: 278, tokensPerSecond: 200 },
    isWarmedUp: true,
  },
};

/** Shows that the benchmark itself works. Its figures mean little. */
const SHORT: Plan = {
  propagation: { replicas: 1, streamed: 20, polled: 5, seldom: 4, perSecond: 20 },
  live: { entries: 10_000, checks: 20_000 },
  entries: 60_000,
  algorithms: ['ES256'],
  verifying: { entries: 10_000, rounds: 3, roundMs: 20 },
  streams: {
    ...{ streams: 20, seconds: 1, rounds: 1, revocationsPerSecond: 20, tokensPerSecond: 20 },
    isWarmedUp: false,
  },
};

const GOALS = ['G1', 'G3', 'G4', 'G5', 'G6'];

const { only, short } = new Command('npm run bench:revocations --')
  .description('Measures the revocation feed, on servers of its own, against its goals.')
  .option('--only <goals>', `some of ${GOALS}`, goals, GOALS)
  .option('--short', 'a few of everything, to see that it works: no verdicts')
  .parse()
  .opts<{ only: string[]; short?: true }>();

const plan = short ? SHORT : WHOLE;
const parts: Part[] = [
  ['G1', (place) => measurePropagation(place, plan.propagation)],
  ['G3', () => measureLiveChecks(plan.live)],
  ['G4', (place) => measureWire(place, plan.entries)],
  ...plan.algorithms.map(
    (algorithm): Part => ['G5', (place) => measureVerifying(place, plan.verifying, algorithm)],
  ),
  ['G6', (place) => measureStreams(place, plan.streams)],
];

const findings: Finding[] = [];
for (const [goal, measure] of parts) if (only.includes(goal)) findings.push(...(await measureIn(measure)));
process.stdout.write(`${tableOf(findings)}\n`);
const hasMissed = findings.some((finding) => verdictOf(finding) === 'missed');
process.exitCode = hasMissed && !short ? 1 : 0;

/** Each part has servers of its own, with nothing in them. */
async function measureIn(measure: (place: FeedPlace) => Promise<Finding[]>): Promise<Finding[]> {
  const place = await createFeedPlace();
  try {
    return await measure(place);
  } finally {
    await place.close();
  }
}

function goals(text: string): string[] {
  const wanted = text.split(',');
  if (!wanted.every((goal) => GOALS.includes(goal))) throw new InvalidArgumentError(`some of ${GOALS}`);
  return wanted;
}
