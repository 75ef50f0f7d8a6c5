/** `npm run bench:simulate`: the busiest minute of a day with many users, event by event, on the machines that the plan has. */
import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { readCosts } from './cost-table.ts';
import { demandOf, type Plan, planFor } from './simulation/plan.ts';
import { outcomesTable, type Run, type SimulationReport } from './simulation/report.ts';
import { type Scenario, simulate } from './simulation/simulate.ts';
import { TRAFFIC } from './simulation/traffic.ts';

type Options = {
  users: number[];
  seed: number;
  seconds: number;
  sample: number;
  replicas?: number;
  redis?: number;
  cores?: number;
  json?: string;
};

const SCENARIOS: Scenario[] = ['healthy', 'a replica is lost', 'Redis is emptied', 'Redis is away'];

const options = new Command('npm run bench:simulate --')
  .description('Simulates the busiest minute of a day by the costs in bench/costs.json.')
  .option('--users <list>', 'daily users, such as 1k,100k,10M', list, [10_000_000])
  .option('--seed <number>', 'another one draws other users', number, 1)
  .option('--seconds <number>', 'simulated and measured', number, 15)
  .option(
    '--sample <number>',
    'most daily users that are simulated whole; of more, a part of users and machines',
    number,
    5_000_000,
  )
  .option('--replicas <number>', 'in place of what the plan has', number)
  .option('--redis <number>', 'shards, in place of what the plan has', number)
  .option('--cores <number>', "PostgreSQL's, in place of what the plan has", number)
  .option('--json <file>', 'where the outcomes go; bench/simulation.json is what docs/capacity.md is made of')
  .parse()
  .opts<Options>();

const costs = readCosts();
const demand = demandOf(costs, TRAFFIC, options.seed);
const runs = options.users.flatMap(runAll);
if (options.json !== undefined) {
  const report: SimulationReport = {
    costsAt: costs.at,
    seed: options.seed,
    seconds: options.seconds,
    demand,
    runs,
  };
  writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
}

function runAll(dailyUsers: number): Run[] {
  const plan = planFor(dailyUsers, demand, costs, TRAFFIC);
  const deployment = changed(plan);
  const k = Math.ceil(dailyUsers / options.sample);
  const { seed, seconds } = options;
  const done = SCENARIOS.map((scenario) => ({
    ...{ dailyUsers, scenario, k, deployment },
    outcome: simulate({ dailyUsers, deployment, costs, traffic: TRAFFIC, seed, scenario, seconds, k }),
  }));
  process.stdout.write(`${outcomesTable(done)}\n\n`);
  return done;
}

function changed({ deployment }: Plan): Plan['deployment'] {
  const { replicas = deployment.replicas, redis = deployment.redisShards } = options;
  return {
    ...deployment,
    replicas,
    redisShards: redis,
    postgresCores: options.cores ?? deployment.postgresCores,
  };
}

/** 10k, 10M: as people write them. */
function number(text: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text) ?? [];
  const value = Number(digits) * ({ k: 1e3, M: 1e6 }[unit] ?? 1);
  if (Number.isInteger(value) && value >= 1 && value <= 1e9) return value;
  throw new InvalidArgumentError('a whole number from 1, such as 500, 100k or 10M');
}

function list(text: string): number[] {
  return text.split(',').map(number);
}
