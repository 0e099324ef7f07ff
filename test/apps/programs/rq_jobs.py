"""RQ: jobs, a failing job, a job that depends on another, and a scheduled one, worked off in this process."""
import os
from datetime import timedelta

import redis
from rq import Queue, Retry, SimpleWorker
from rq.job import JobStatus

import operator

connection = redis.Redis(port=int(os.environ['PORT']))
queue = Queue('default', connection=connection)
jobs = [queue.enqueue(operator.mul, n, 2) for n in range(10)]
after = queue.enqueue(operator.add, 1, 1, depends_on=jobs[0])
failing = queue.enqueue(operator.truediv, 1, 0)
queue.enqueue_in(timedelta(hours=1), operator.add, 1, 1)
worker = SimpleWorker([queue], connection=connection)
assert worker.work(burst=True)
for n, job in enumerate(jobs):
    job.refresh()
    assert job.get_status() == JobStatus.FINISHED, job.get_status()
    assert job.result == n * 2
after.refresh()
assert after.result == 2
assert failing.get_status() == JobStatus.FAILED
assert queue.scheduled_job_registry.count == 1
assert queue.failed_job_registry.count == 1
