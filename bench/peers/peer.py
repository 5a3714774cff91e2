"""Calls of GitHub clients for Python, which `octowire-bench peers` starts.

    peer.py CLIENT first URL                       prints a line after the first response, of 1 KB
    peer.py CLIENT rate BODY CALLERS SECONDS URL   prints the calls per second, and the CPU time of a call in µs

CLIENT is githubkit or PyGithub. Each has its defaults, except that it has no cache, as the other clients, and makes
no pause between requests. Every response is checked.
"""
import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
OWNER, REPO = "octocat", "Hello-World"
ANSWERS = {"comment": 1, "repository": 1296269, "issues": sum(range(1, 42))}


def check(body, answer):
    if answer != ANSWERS[body]:
        sys.exit(f"{body}: {answer} instead of {ANSWERS[body]}")


async def githubkit(url, run):
    from githubkit import GitHub

    async with GitHub(TOKEN, base_url=url, http_cache=False) as github:
        rest = github.rest

        async def call(body):
            if body == "comment":
                answer = (await rest.issues.async_get_comment(OWNER, REPO, 1)).parsed_data.id
            elif body == "repository":
                answer = (await rest.repos.async_get(OWNER, REPO)).parsed_data.id
            else:
                issues = (await rest.issues.async_list_for_repo(OWNER, REPO)).parsed_data
                answer = sum(issue.number for issue in issues)
            check(body, answer)

        async def repeat(body, seconds):
            end, calls = time.monotonic() + seconds, 0
            while time.monotonic() < end:
                await call(body)
                calls += 1
            return calls

        async def all_callers(body, callers, seconds):
            return sum(await asyncio.gather(*(repeat(body, seconds) for _ in range(callers))))

        await run(call, all_callers)


async def pygithub(url, run):
    from github import Auth, Github

    # Without a pool of their number, the callers would open a connection for each call.
    github = Github(base_url=url, auth=Auth.Token(TOKEN), seconds_between_requests=0, pool_size=64, lazy=True)

    def call_now(body):
        # A lazy object makes its call when a property is read that its URL does not contain.
        repository = github.get_repo(f"{OWNER}/{REPO}")
        if body == "comment":
            comment = repository.get_issue(1).get_comment(1)
            answer = comment.id if comment.body else None
        elif body == "repository":
            answer = repository.id if repository.description else None
        else:
            answer = sum(issue.number for issue in repository.get_issues())
        check(body, answer)

    def repeat(body, seconds):
        end, calls = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            call_now(body)
            calls += 1
        return calls

    async def call(body):
        call_now(body)

    async def all_callers(body, callers, seconds):
        with ThreadPoolExecutor(callers) as threads:
            return sum(threads.map(lambda _: repeat(body, seconds), range(callers)))

    await run(call, all_callers)


async def first(call, all_callers):
    await call("comment")
    print("done", flush=True)


def rate(body, callers, seconds):
    async def run(call, all_callers):
        await all_callers(body, callers, seconds / 2)
        wall, cpu = time.monotonic(), time.process_time()
        calls = await all_callers(body, callers, seconds)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        print(f"{calls / wall:.1f} {cpu / calls * 1e6:.3f}", flush=True)

    return run


client = {"githubkit": githubkit, "PyGithub": pygithub}[sys.argv[1]]
if sys.argv[2] == "first":
    asyncio.run(client(sys.argv[3], first))
else:
    body, callers, seconds, url = sys.argv[3:]
    asyncio.run(client(url, rate(body, int(callers), float(seconds))))
