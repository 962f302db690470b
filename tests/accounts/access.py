"""The kinds of people of every access matrix, and service tokens to call with."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from utxoiq_admin.accounts.models import ServiceToken
from utxoiq_admin.accounts.services import token_create

GROUPS = ["staff", "moderators", "ops"]
KINDS = ["anonymous", "outsider", *GROUPS, "administrator"]


def person(kind: str) -> User:
    """`outsider` has no group; `administrator` is the superuser; else the group's name."""
    if kind == "administrator":
        return User.objects.create_superuser(kind)
    made = User.objects.create_user(kind)
    if kind in GROUPS:
        made.groups.add(Group.objects.get(name=kind))
    return made


def signed_in(kind: str) -> Client:
    client = Client()
    if kind != "anonymous":
        client.force_login(person(kind))
    return client


def token(*scopes: str, name: str = "web-api", **changes: Any) -> tuple[ServiceToken, str]:
    made, secret = token_create(
        name=name, scopes=scopes or ["metrics:read"], expires=changes.pop("expires", None), created_by="tests"
    )
    if changes:
        ServiceToken.objects.filter(pk=made.pk).update(**changes)
        made.refresh_from_db()
    return made, secret


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}
