"""The rollups' tables: SQL makes them (migration 0003) and writes them (`rollups`, `sealing`); Django knows of them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Series(models.Model):
    """(service, type, unit): what is never mixed."""

    service_name = models.CharField(max_length=100)
    metric_type = models.CharField(max_length=50)
    unit = models.CharField(max_length=20)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.service_name} {self.metric_type} ({self.unit})"


class Figures(models.Model):
    """What a bucket's rows come to. `bins` and `bin_rows` are the sketch: see `sketch`."""

    rows = models.BigIntegerField()
    total = models.FloatField()
    lowest = models.FloatField()
    highest = models.FloatField()
    last_at = models.DateTimeField()
    bins = ArrayField(models.IntegerField())
    bin_rows = ArrayField(models.IntegerField())

    class Meta:
        abstract = True


class RollupMark(Series):
    """The bucket's rows changed: until the refresher took the mark, its figures are read from raw rows."""

    # In Django's eyes only: the table has no key, and often several marks of one bucket.
    pk = models.CompositePrimaryKey("service_name", "metric_type", "hour", "unit")
    hour = models.DateTimeField()

    class Meta:
        db_table = "metric_rollup_marks"


class RollupHour(Series, Figures):
    pk = models.CompositePrimaryKey("service_name", "metric_type", "hour", "unit")
    hour = models.DateTimeField()

    class Meta:
        db_table = "metric_rollup_hours"


class RollupDay(Series, Figures):
    """A day of one series, and its 24 hours packed (NULL where an hour has no row): charts read these."""

    pk = models.CompositePrimaryKey("service_name", "metric_type", "day", "unit")
    day = models.DateField()
    hour_rows = ArrayField(models.BigIntegerField(null=True))
    hour_totals = ArrayField(models.FloatField(null=True))
    hour_lowest = ArrayField(models.FloatField(null=True))
    hour_highest = ArrayField(models.FloatField(null=True))

    class Meta:
        db_table = "metric_rollup_days"


class SealedDay(models.Model):
    """A UTC day whose rollups are final: its raw rows are in the archive, or on their way."""

    day = models.DateField(primary_key=True)
    sealed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "metric_sealed_days"

    def __str__(self) -> str:
        return f"{self.day} sealed"


class LateRow(models.Model):
    """Names a raw row that came after its day was sealed, and is not merged into the rollup yet."""

    # In Django's eyes only: a row that was deleted and came again is named twice.
    id = models.UUIDField(primary_key=True)
    timestamp = models.DateTimeField()

    class Meta:
        db_table = "metric_late_rows"

    def __str__(self) -> str:
        return f"{self.id} at {self.timestamp}"
