"""`/api/v1/admin`: what an operator does, over all tenants. Every operation here needs a key with the scope `admin`."""
