'use strict';
// The user's JavaScript, in the last process of the chain: `module.exports = async (input) => …`.
// `agents.code.backend` says what is handed to it, `agents.code.answer` what it writes to descriptor 3.
// What is needed after the user's code has run is kept in constants here: the code can replace it elsewhere.

const fs = require('fs');
const Module = require('module');

const ANSWER = 3;
const FILE_NAME = 'main.js';
const MAX_FILES = 64;
const MESSAGE_CHARACTERS = 4000;
const FRAMES = 30;
const CHUNK_BYTES = 1 << 20;
const DISK_CODES = ['ENOSPC', 'EFBIG', 'EDQUOT'];
const PROCESS_CODES = ['EAGAIN', 'ERR_WORKER_INIT_FAILED'];
const MEMORY_CODES = ['ERR_MEMORY_ALLOCATION_FAILED'];
const FRAME = /^\s+at (?:(.*?) \()?(?:.*\/)?main\.js:(\d+)(?::\d+)?\)?$/;

const { writeSync, readSync, openSync, closeSync, fstatSync, readdirSync, readFileSync, constants } = fs;
const { stringify, parse } = JSON;
const exit = process.reallyExit.bind(process);
const out = `${process.cwd()}/out`;

let code = '';
let answered = false;

function main() {
  const job = parse(readFileSync(0, 'utf8'));
  closeSync(0);
  openSync('/dev/null', 'r');
  process.argv = [process.argv[0], FILE_NAME];
  code = job.code;
  process.on('uncaughtException', fail);
  run(job.input).then(succeed, fail);
}

async function run(input) {
  const file = `${process.cwd()}/${FILE_NAME}`;
  const loaded = new Module(file);
  loaded.filename = file;
  loaded._compile(code, FILE_NAME);
  if (typeof loaded.exports !== 'function') {
    throw new TypeError('module.exports is no function; write `module.exports = async (input) => { … }`');
  }
  return loaded.exports(input);
}

function succeed(result) {
  let text;
  try {
    text = stringify({ ok: true, result: result === undefined ? null : result }, plain);
  } catch (error) {
    answer(failure('result', error));
    return;
  }
  answer(text);
}

function plain(key, value) {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} is no JSON number`);
  if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError(`a ${typeof value} is no JSON`);
  return value;
}

function fail(error) {
  answer(failure(kind(error), error));
}

function kind(error) {
  const name = error && error.code;
  if (DISK_CODES.includes(name)) return 'disk';
  if (PROCESS_CODES.includes(name)) return 'processes';
  const allocation = error instanceof RangeError && /allocation failed/.test(error.message);
  return MEMORY_CODES.includes(name) || allocation ? 'memory' : 'raised';
}

function failure(what, error) {
  const known = error instanceof Error;
  return stringify({
    ok: false,
    failure: what,
    type: known ? String(error.name).slice(0, 200) : 'Error',
    message: (known ? String(error.message) : String(error)).slice(0, MESSAGE_CHARACTERS),
    frames: known ? frames(String(error.stack)) : [],
  });
}

// Outermost first, as in Python; a syntax error has its place in the first line.
function frames(stack) {
  const lines = stack.split('\n');
  const found = lines.map((line) => FRAME.exec(line)).filter(Boolean);
  const places = found.map((match) => [Number(match[2]), (match[1] || '<module>').slice(0, 200)]);
  const syntax = /main\.js:(\d+)$/.exec(lines[0]);
  if (syntax) places.unshift([Number(syntax[1]), '<module>']);
  const source = code.split('\n');
  return places
    .slice(0, FRAMES)
    .reverse()
    .map(([line, name]) => ({ line, function: name, text: (source[line - 1] || '').trim().slice(0, 200) }));
}

function answer(text) {
  if (answered) return;
  answered = true;
  write(Buffer.from(`${text}\n`));
  sendFiles();
  exit(0);
}

function sendFiles() {
  let names = [];
  try {
    names = readdirSync(out).sort().slice(0, MAX_FILES);
  } catch {
    return;
  }
  for (const name of names) sendFile(name);
}

function sendFile(name) {
  let source;
  try {
    source = openSync(`${out}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return;
  }
  const status = fstatSync(source);
  if (status.isFile()) {
    write(Buffer.from(`${stringify({ name, bytes: status.size })}\n`));
    copy(source, status.size);
  }
  closeSync(source);
}

function copy(source, size) {
  const chunk = Buffer.alloc(Math.min(size, CHUNK_BYTES));
  let left = size;
  while (left > 0) {
    const count = readSync(source, chunk, 0, Math.min(left, chunk.length), null);
    if (count === 0) return;
    write(chunk.subarray(0, count));
    left -= count;
  }
}

function write(bytes) {
  for (let rest = bytes; rest.length > 0; ) rest = rest.subarray(writeSync(ANSWER, rest));
}

main();
