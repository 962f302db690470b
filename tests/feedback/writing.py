"""How heavy the proofs are, and connections beside Django's."""

import os

import psycopg
from django.db import connection

STRESS = os.environ.get("STRESS") == "1"
RUNS = 300 if STRESS else 25


def other_connection() -> psycopg.Connection:
    """Apart from Django's, as another program is."""
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{name: parameters[name] for name in names if name in parameters})
