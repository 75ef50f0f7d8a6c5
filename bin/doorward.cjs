#!/usr/bin/env node
// The command `doorward`. CommonJS in old syntax, so that an old Node gets as far as its message.
'use strict';

const { existsSync } = require('node:fs');
const { join } = require('node:path');

const [major] = process.versions.node.split('.');
if (Number(major) >= 24) run();
else refuse();

function refuse() {
  process.stderr.write(
    `Doorward needs Node 24 or later, and this is Node ${process.versions.node}: install a newer Node.\n`,
  );
  process.exitCode = 1;
}

/** The package has JavaScript; a clone of the repository runs its TypeScript. */
function run() {
  const inClone = existsSync(join(__dirname, '../src'));
  const [folder, extension] = inClone ? ['../src', 'ts'] : ['../dist', 'js'];
  void import(`${folder}/compile-cache.${extension}`)
    .then(() => import(`${folder}/cli.${extension}`))
    .then(({ runCli }) => runCli(process.argv));
}
