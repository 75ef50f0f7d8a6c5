import type { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { fetchGatewayReport, gatewayReportText } from './doctor-call.ts';
import { runCommand } from './run-command.ts';
import { print } from './table.ts';

type DoctorOptions = { json?: boolean; url?: string };

async function examineGateway({ json, url }: DoctorOptions): Promise<void> {
  const config = loadConfig(process.env);
  const { access_token } = await runCommand(config, 'doctor.ticket');
  const report = await fetchGatewayReport(url ?? config.PUBLIC_URL, access_token);
  print(report, { json }, gatewayReportText);
  if (report.problems.length > 0) process.exitCode = 1;
}

/** `doorward doctor`. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('send a request through the gateway, and show what the server made of it')
    .option('--url <url>', 'where users reach the server; PUBLIC_URL when left out')
    .option('--json', 'for programs')
    .action(examineGateway);
}
