"""Celery with Redis as broker and result backend: tasks, a retry, a group, a chord, a countdown."""
import os
import subprocess
import sys
import time

from celery import Celery, chord, group

url = f"redis://127.0.0.1:{os.environ['PORT']}/0"
app = Celery('celery_tasks', broker=url, backend=url)
app.conf.update(worker_concurrency=1, worker_pool='solo', broker_connection_retry_on_startup=False)
app.conf.update(task_default_retry_delay=0.1)
prefix = os.environ.get('PREFIX')
if prefix is not None:
    app.conf.broker_transport_options = {'global_keyprefix': prefix}
    app.conf.result_backend_transport_options = {'global_keyprefix': prefix}


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True)
def flaky(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return 'again'


def check():
    results = [add.delay(n, n) for n in range(10)]
    assert [result.get(timeout=20) for result in results] == [n * 2 for n in range(10)]
    assert add.apply_async((1, 2), countdown=0.2).get(timeout=20) == 3
    assert flaky.delay().get(timeout=20) == 'again'
    assert group(add.s(n, 1) for n in range(5))().get(timeout=20) == [1, 2, 3, 4, 5]
    assert chord([add.s(n, 1) for n in range(5)])(total.s()).get(timeout=20) == 15


if __name__ == '__main__':
    command = [sys.executable, '-m', 'celery', '-A', 'celery_tasks', 'worker', '-l', 'ERROR', '--without-heartbeat']
    folder = os.path.dirname(os.path.abspath(__file__))
    worker = subprocess.Popen(command, cwd=folder, env={**os.environ, 'C_FORCE_ROOT': '1', 'PYTHONDONTWRITEBYTECODE': '1'})
    try:
        check()
        assert worker.poll() is None, 'the worker has ended'
    finally:
        worker.kill()
