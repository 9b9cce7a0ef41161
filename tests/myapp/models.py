"""A small shop: every kind of relation that templates follow."""

import uuid

from django.db import models


class City(models.Model):
    name = models.CharField(max_length=30)


class Customer(models.Model):
    name = models.CharField(max_length=30)
    city = models.ForeignKey(City, models.SET_NULL, null=True)

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=30)

    class Meta:
        ordering = ["-name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    second = models.ForeignKey(Customer, models.SET_NULL, null=True, related_name="seconded")
    loose = models.ForeignKey(Customer, models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    tags = models.ManyToManyField(Tag)
    open = models.BooleanField(default=False)
    number = models.IntegerField(default=0)

    class Meta:
        ordering = ["number"]

    @property
    def owner(self) -> Customer:
        return self.customer


class Product(models.Model):
    name = models.CharField(max_length=30)


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.CASCADE)


class Invoice(models.Model):
    order = models.OneToOneField(Order, models.CASCADE)
    total = models.IntegerField(default=0)


class VisibleNotes(models.Manager["Note"]):
    """A manager of which one cannot know what it does."""

    def get_queryset(self) -> models.QuerySet["Note"]:
        return super().get_queryset().filter(hidden=False)


class Note(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="notes")
    hidden = models.BooleanField(default=False)

    objects = VisibleNotes()


class Parcel(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.CharField(max_length=9, unique=True)


class Express(Parcel):
    hours = models.IntegerField(default=1)


class Urgent(Express):
    class Meta:
        proxy = True


class Sticker(models.Model):
    parcel = models.OneToOneField(Parcel, models.CASCADE, primary_key=True, to_field="code")
    scan = models.FileField(null=True)
