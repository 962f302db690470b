"""Nobody gives, or takes over, a right that they do not hold themselves.

Whoever may edit people or groups could otherwise help themselves: by granting their own account more, by
widening a group they are in, or by setting the password of somebody who may more.
"""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db.models import QuerySet

Actor = AbstractBaseUser | AnonymousUser


def grantable_permissions(actor: Actor) -> QuerySet[Permission]:
    """The permissions that `actor` may give to others: their own."""
    every = Permission.objects.select_related("content_type").order_by("content_type__app_label", "codename")
    if not isinstance(actor, User):
        return every.none()
    if actor.is_superuser:
        return every
    held = actor.get_all_permissions()
    return every.filter(
        pk__in=[each.pk for each in every if f"{each.content_type.app_label}.{each.codename}" in held]
    )


def grantable_groups(actor: Actor) -> QuerySet[Group]:
    """The groups that `actor` may put people into: those that grant nothing beyond `actor`'s own rights."""
    if isinstance(actor, User) and actor.is_superuser:
        return Group.objects.order_by("name")
    beyond = Permission.objects.exclude(pk__in=grantable_permissions(actor).order_by().values("pk"))
    return Group.objects.exclude(permissions__in=beyond).order_by("name")


def may_manage_user(actor: Actor, target: User) -> bool:
    """Whether `actor`'s rights include all that `target` may do."""
    if not isinstance(actor, User):
        return False
    if actor.is_superuser:
        return True
    return not target.is_superuser and target.get_all_permissions() <= actor.get_all_permissions()


def may_manage_group(actor: Actor, target: Group) -> bool:
    return grantable_groups(actor).filter(pk=target.pk).exists()
