"""Gunicorn's settings, for `manage.py up` and production alike; sizes and address come with the command."""

import gc
import signal

from utxoiq_admin.stack.processes import die_with_parent

worker_class = "gthread"
timeout = 60
graceful_timeout = 10
keepalive = 5
max_requests = 20_000  # a slow leak, should there be one, never grows old
max_requests_jitter = 2_000
accesslog = "-"
access_log_format = '%(t)s %(h)s "%(r)s" %(s)s %(b)s %(M)sms'
control_socket_disable = True


def post_fork(arbiter, _worker):  # type: ignore[no-untyped-def]
    """A worker that outlived a killed master would keep the port."""
    die_with_parent(arbiter.pid, signal.SIGKILL)


def post_worker_init(_worker):  # type: ignore[no-untyped-def]
    """Django and our code live as long as the process: a full collection (90 ms with them) need not look at them."""
    gc.collect()
    gc.freeze()
