"""What the measuring task must remember between two runs."""

from django.db import models


class Reading(models.Model):
    """The counters that one machine read last: a rate is the step between two readings.

    A table rather than a worker's memory: the next run is another process, often of a restarted stack.
    """

    instance = models.CharField(max_length=255, primary_key=True)
    minute = models.DateTimeField(null=True)  # the minute whose rows were written last
    clock = models.FloatField(
        null=True
    )  # seconds of the monotonic clock: no step of the wall clock bends a rate
    counters = models.JSONField(default=dict)

    class Meta:
        db_table = "monitoring_readings"

    def __str__(self) -> str:
        return self.instance
