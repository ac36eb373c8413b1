"""Flash sales: page views, users and sales joined, counted and summed into ten topics."""
