// What a program on somebody's desk does around OAuth, whichever library it uses:
// open the browser, wait for it to come back, tell how far it got.
import { spawn } from 'node:child_process';
import http from 'node:http';

// say prints one line of JSON for the test.
export const say = (step, more = {}) => console.log(JSON.stringify({ step, ...more }));

export const until = (at) => new Promise((done) => setTimeout(done, at - Date.now()));

// browse opens the person's browser.
export function browse(url) {
  spawn(process.env.BROWSER, [String(url)], { stdio: 'ignore' });
}

// callback listens on loopback for the browser that comes back; back() is the
// address at which it did, this time.
export async function callback() {
  const arrivals = [];
  let came = () => {};
  const server = http.createServer((req, res) => {
    res.end('You can close this page.');
    arrivals.push(new URL(req.url, `http://127.0.0.1:${server.address().port}`));
    came();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const back = async () => {
    while (arrivals.length === 0) await new Promise((done) => { came = done; });
    return arrivals.shift();
  };
  return { uri: `http://127.0.0.1:${server.address().port}/callback`, back };
}

// main runs a program, whose error is the last thing that it says.
export async function main(run) {
  try {
    await run(new URL(process.argv[2]));
    process.exit(0);
  } catch (e) {
    say('failed', { error: e.error ?? e.code ?? e.name, message: String(e.message ?? e), description: e.error_description });
    process.exit(1);
  }
}
