from django.db import models


class ExternalProduct(models.Model):
    """Represents a product from the external catalog API."""

    name = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    sku = models.CharField(max_length=50)
    in_stock = models.BooleanField(default=True)

    class Meta:
        managed = False  # No database table created
