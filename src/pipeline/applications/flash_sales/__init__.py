"""Flash sales: page views, users and sales joined, counted and summed into twelve topics."""

from pipeline.applications.flash_sales.topology import application

APPLICATION = application
