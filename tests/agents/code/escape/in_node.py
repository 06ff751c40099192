"""The same by Node.js, with what it has of its own."""

from agents.code.backend import Reason
from tests.agents.code.escape.case import failed_as, node, nothing_escaped, stopped_by

CASES = [
    node(
        "37 files, environment, network",
        """
        const net = require('net');
        for (const path of ['/etc/shadow', input.file]) tried(path, () => fs.readFileSync(path));
        const places = ['/usr/x', '/x', input.folder + '/' + input.name];
        for (const path of places) tried(path, () => fs.writeFileSync(path, 'x'));
        if (JSON.stringify(process.env).includes('PLANTED')) escaped.push('environment');
        for (const where of [{port: input.port, host: '127.0.0.1'}, {path: input.path}, {path: '\\0' + input.name}]) {
          await new Promise((resolve) => {
            let client;
            try { client = net.connect(where); } catch { return resolve(); }
            client.on('connect', () => { escaped.push('connected'); client.destroy(); resolve(); });
            client.on('error', () => resolve());
          });
        }
        """,
    ),
    node(
        "38 memory outside of the heap",
        """
        const blocks = [];
        for (let i = 0; i < 64; i++) blocks.push(Buffer.alloc(16 << 20, 1));
        escaped.push('a gigabyte');
        """,
        failed_as("memory", or_stopped_by=(Reason.MEMORY,)),
    ),
    node(
        "39 children, signals, an endless loop",
        """
        const children = require('child_process');
        tried('kill', () => process.kill(input.victim, 'SIGKILL'));
        let count = 0;
        for (let i = 0; i < 100; i++) {
          try {
            const child = children.spawn('/bin/sleep', ['60']);
            child.on('error', () => {});
            if (child.pid) count++;
          } catch { break; }
        }
        process.stdout.write(String(count));
        while (count < 100);
        """,
        stopped_by(Reason.CPU, Reason.PROCESSES, Reason.MEMORY),
        cpu_seconds=0.5,
    ),
    node(
        "40 inner bindings, worker threads, vm",
        """
        const { Worker } = require('worker_threads');
        const vm = require('vm');
        const inside = 'return process.mainModule.require("fs").readFileSync(' + JSON.stringify(input.file) + ')';
        tried('vm', () => vm.runInNewContext('this.constructor.constructor(' + JSON.stringify(inside) + ')()', {}));
        tried('binding', () => process.binding('fs').readFileUtf8(input.file, 0));
        tried('spawn_sync', () => {
          const stdio = [{ type: 'ignore' }, { type: 'ignore' }, { type: 'ignore' }];
          const done = process.binding('spawn_sync').spawn({ file: '/bin/cat', args: ['cat', input.file], stdio });
          if (done.error || done.status !== 0) throw new Error('refused');
        });
        const code = `const { parentPort } = require('worker_threads');
          let text = '';
          try { text = require('fs').readFileSync(${JSON.stringify(input.file)}, 'utf8'); } catch {}
          parentPort.postMessage(text);`;
        const said = await new Promise((resolve) => {
          const worker = new Worker(code, { eval: true });
          worker.on('message', resolve);
          worker.on('error', () => resolve(''));
        });
        if (said) escaped.push('worker');
        """,
        nothing_escaped,
    ),
]
