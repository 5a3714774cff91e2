// Calls of octokit.js, which `octowire-bench peers` starts:
//
//     peer.mjs first URL                       prints a line after the first response, of 1 KB
//     peer.mjs rate BODY CALLERS SECONDS URL   prints the calls per second, and the CPU time of a call in µs
//
// The client has its defaults, except that it does not pace its requests, as the other clients. Every response is checked.
import { Octokit } from "octokit";

const TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
const REPO = { owner: "octocat", repo: "Hello-World" };
const ANSWERS = { comment: 1, repository: 1296269, issues: (41 * 42) / 2 };

const [mode, ...rest] = process.argv.slice(2);
const url = rest[rest.length - 1];
const { rest: github } = new Octokit({ auth: TOKEN, baseUrl: url, throttle: { enabled: false } });

const calls = {
  comment: async () => (await github.issues.getComment({ ...REPO, comment_id: 1 })).data.id,
  repository: async () => (await github.repos.get(REPO)).data.id,
  issues: async () =>
    (await github.issues.listForRepo(REPO)).data.reduce((sum, issue) => sum + issue.number, 0),
};

async function call(body) {
  const answer = await calls[body]();
  if (answer !== ANSWERS[body]) throw new Error(`${body}: ${answer} instead of ${ANSWERS[body]}`);
}

async function repeat(body, seconds) {
  const end = performance.now() + seconds * 1000;
  let count = 0;
  for (; performance.now() < end; count++) await call(body);
  return count;
}

async function allCallers(body, callers, seconds) {
  const counts = await Promise.all(Array.from({ length: callers }, () => repeat(body, seconds)));
  return counts.reduce((sum, count) => sum + count, 0);
}

if (mode === "first") {
  await call("comment");
  console.log("done");
} else {
  const [body, callers, seconds] = [rest[0], Number(rest[1]), Number(rest[2])];
  await allCallers(body, callers, seconds / 2);
  const [start, before] = [performance.now(), process.cpuUsage()];
  const count = await allCallers(body, callers, seconds);
  const wall = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(before);
  console.log(`${(count / wall).toFixed(1)} ${((cpu.user + cpu.system) / count).toFixed(3)}`);
}
// Connections that are kept alive would delay the end.
process.exit(0);
