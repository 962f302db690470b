"""Celery's doors to the demo data."""

from celery import shared_task

from utxoiq_admin.demo import living, removal


@shared_task(name="demo.keep_alive", expires=50)
def keep_alive() -> None:
    """Each minute: the demo data goes on."""
    living.keep_alive()


@shared_task(name="demo.remove")
def remove() -> None:
    """Remove the demo data, as somebody asked for on a page."""
    removal.remove_demo()
